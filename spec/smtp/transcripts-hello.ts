import { GREETING, HELLO, OFFER, OFFERED, TLS_RECORD, type Transcript, transcript } from './transcript.ts';

/** How known servers and their clients begin. */
export const SERVERS: readonly Transcript[] = [
  transcript(
    'Postfix, STARTTLS accepted',
    [
      'S: 220 mail.example.org ESMTP Postfix (Debian/GNU)\r\n',
      'C: EHLO client.example.com\r\n',
      'S: 250-mail.example.org\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-VRFY\r\n250-ETRN\r\n250-STARTTLS\r\n' +
        '250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n',
      'C: STARTTLS\r\n',
      'S: 220 2.0.0 Ready to start TLS\r\n',
      `C: ${TLS_RECORD}`,
    ],
    {
      phase: 'tls',
      hello: 'EHLO',
      name: 'client.example.com',
      capabilities: [
        ...(['PIPELINING', 'SIZE', '8BITMIME', 'STARTTLS', 'DSN', 'CHUNKING', 'SMTPUTF8'] as const),
        ...(['ENHANCEDSTATUSCODES', 'ETRN', 'VRFY'] as const),
      ],
      starttls: 'accepted',
      behindStarttls: TLS_RECORD,
      behindReply: '',
    },
  ),
  transcript(
    'Postfix submission with both forms of AUTH, AUTH comes first',
    [
      'S: 220 submit.example.org ESMTP Postfix\r\n',
      'C: EHLO [192.0.2.7]\r\n',
      'S: 250-submit.example.org\r\n250-AUTH=PLAIN LOGIN\r\n250-XCLIENT NAME ADDR PROTO HELO\r\n250 XFORWARD NAME\r\n',
      'C: AUTH PLAIN AGEAYg==\r\n',
      'S: 235 2.7.0 Authentication successful\r\n',
    ],
    {
      phase: 'opaque',
      cause: 'other-command',
      hello: 'EHLO',
      name: '[192.0.2.7]',
      capabilities: ['AUTH', 'XCLIENT', 'XFORWARD'],
    },
  ),
  transcript(
    'Exim',
    [
      'S: 220 mx1.example.net ESMTP Exim 4.96 Tue, 03 Nov 2026 10:00:00 +0000\r\n',
      'C: ehlo relay.example.com\r\n',
      'S: 250-mx1.example.net Hello relay.example.com [192.0.2.1]\r\n250-SIZE 52428800\r\n250-LIMITS MAILMAX=1000\r\n' +
        '250-8BITMIME\r\n250-PIPELINING\r\n250-PIPECONNECT\r\n250-STARTTLS\r\n250 HELP\r\n',
      'C: MAIL FROM:<a@example.com>\r\n',
    ],
    {
      phase: 'opaque',
      cause: 'other-command',
      hello: 'EHLO',
      name: 'relay.example.com',
      capabilities: ['PIPELINING', 'SIZE', '8BITMIME', 'STARTTLS', 'HELP', 'LIMITS'],
      starttls: 'offered',
    },
  ),
  transcript(
    'Sendmail, a greeting of three lines',
    [
      'S: 220-mx.example.edu ESMTP Sendmail 8.17.1/8.17.1\r\n220-No unsolicited mail\r\n220 ready\r\n',
      'C: EHLO a\r\n',
      'S: 250-mx.example.edu Hello a, pleased to meet you\r\n250-ENHANCEDSTATUSCODES\r\n250-EXPN\r\n250-AUTH LOGIN\r\n' +
        '250-DELIVERBY\r\n250 HELP\r\n',
    ],
    {
      hello: 'EHLO',
      name: 'a',
      capabilities: ['AUTH', 'ENHANCEDSTATUSCODES', 'EXPN', 'HELP', 'DELIVERBY'],
    },
  ),
  transcript(
    'Exchange, words that only begin like known ones',
    [
      'S: 220 EX01.example.local Microsoft ESMTP MAIL Service ready at Tue, 3 Nov 2026 10:00:00 +0000\r\n',
      'C: EHLO app\r\n',
      'S: 250-EX01.example.local Hello [10.0.0.1]\r\n250-X-ANONYMOUSTLS\r\n250-AUTH NTLM\r\n250-X-EXPS GSSAPI NTLM\r\n' +
        '250-BINARYMIME\r\n250-SIZES 1\r\n250-DS\r\n250-XRDST=1\r\n250-SIZE=9\r\n250-REQUIRETLS\r\n250 SMTPUTF8\r\n',
    ],
    { hello: 'EHLO', name: 'app', capabilities: ['AUTH', 'BINARYMIME', 'SMTPUTF8', 'REQUIRETLS'] },
  ),
  transcript(
    'qmail, HELO only',
    [
      'S: 220 mx.example.org ESMTP\r\n',
      'C: HELO old.example.com\r\n',
      'S: 250 mx.example.org\r\n',
      'C: MAIL FROM:<>\r\n',
    ],
    { phase: 'opaque', cause: 'other-command', hello: 'HELO', name: 'old.example.com' },
  ),
  transcript(
    'postscreen pauses behind 220-',
    ['S: 220-mail.example.org ESMTP Postfix\r\n', 'S: 220 mail.example.org ESMTP Postfix\r\n', HELLO, OFFER],
    OFFERED,
  ),
  transcript('postscreen, still pausing', ['S: 220-mail.example.org ESMTP Postfix\r\n'], {
    phase: 'greeting',
  }),
  transcript(
    'LMTP',
    [
      'S: 220 store.example.net LMTP ready\r\n',
      'C: LHLO mx.example.net\r\n',
      'S: 250-store.example.net\r\n250-pipelining\r\n250 8bitMIME\r\n',
    ],
    { hello: 'LHLO', name: 'mx.example.net', capabilities: ['PIPELINING', '8BITMIME'] },
  ),
  transcript('greeting without text', ['S: 220\r\n', HELLO, 'S: 250\r\n'], {
    hello: 'EHLO',
    name: 'c.example',
  }),
  transcript('greeting that refuses', ['S: 554-Go away\r\n554 5.7.1 please\r\n', 'C: QUIT\r\n'], {
    phase: 'opaque',
    cause: 'other-command',
    code: 554,
  }),
  transcript(
    'greeting with 8-bit text and a CR in it',
    ['S: 220 m\xfcller\r, hier\r\r\n', HELLO, OFFER],
    OFFERED,
  ),
];

/** Hello lines and their replies. */
export const HELLOS: readonly Transcript[] = [
  transcript(
    'EHLO refused, then HELO',
    [GREETING, 'C: EHLO a.example\r\n', 'S: 502 5.5.2 what?\r\n', 'C: HELO b.example\r\n', 'S: 250 fine\r\n'],
    { hello: 'HELO', name: 'b.example' },
  ),
  transcript(
    'a second EHLO replaces the first',
    [GREETING, HELLO, OFFER, 'C: EHLO other\r\n', 'S: 250-x\r\n250 DSN\r\n'],
    { hello: 'EHLO', name: 'other', capabilities: ['DSN'] },
  ),
  transcript(
    'a refused second EHLO replaces nothing but the name',
    [GREETING, HELLO, OFFER, 'C: EHLO \r\n', 'S: 501-5.5.4\r\n501 DSN\r\n'],
    { ...OFFERED, name: '' },
  ),
  transcript(
    'the name of a half second EHLO does not count yet',
    [GREETING, HELLO, OFFER, 'C: EHLO other.exam'],
    OFFERED,
  ),
  transcript('EHLO without a name', [GREETING, 'C: EHLO\r\n', 'S: 501 5.5.4 Syntax: EHLO hostname\r\n'], {
    hello: 'EHLO',
  }),
  transcript('blanks around a name', [GREETING, 'C: eHlO \t  c.example \t \r\n', OFFER], OFFERED),
  transcript('a name beyond its bound', [GREETING, `C: EHLO ${'n'.repeat(300)}\r\n`], {
    phase: 'hello-reply',
    hello: 'EHLO',
    name: 'n'.repeat(255),
  }),
  transcript(
    'capabilities in any case, and none on the first line',
    [GREETING, HELLO, 'S: 250-DSN hello\r\n250-starttls\r\n250-Size\r\n250 aUtH plain\r\n'],
    { ...OFFERED, capabilities: ['SIZE', 'STARTTLS', 'AUTH'] },
  ),
  transcript('half an EHLO reply', [GREETING, HELLO, 'S: 250-mx\r\n250-SIZE\r\n'], {
    phase: 'hello-reply',
    hello: 'EHLO',
    name: 'c.example',
  }),
];
