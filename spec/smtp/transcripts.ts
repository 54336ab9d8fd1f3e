import type { Capability } from '../../lib/smtp/capabilities.ts';
import type { HelloVerb } from '../../lib/smtp/command.ts';
import type { ObserverFault, ObserverPhase, OpaqueCause, StarttlsState } from '../../lib/smtp/observer.ts';

/** What one side sends in one go; one character is one octet. */
export interface Step {
  readonly from: 'client' | 'backend';
  readonly text: string;
}

/** All that an observer says after a transcript. */
export interface Outcome {
  readonly phase: ObserverPhase;
  readonly fault: ObserverFault | null;
  readonly cause: OpaqueCause | null;
  readonly code: number;
  readonly hello: HelloVerb | null;
  readonly name: string;
  readonly capabilities: readonly Capability[];
  readonly starttls: StarttlsState;
  /** What the client sent behind its last STARTTLS line; null if there was none. */
  readonly behindStarttls: string | null;
  /** What the backend sent behind its 220 to STARTTLS; null if there was none. */
  readonly behindReply: string | null;
}

export interface Transcript {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly expected: Outcome;
}

const NOTHING_LEARNT: Outcome = {
  phase: 'command',
  fault: null,
  cause: null,
  code: 220,
  hello: null,
  name: '',
  capabilities: [],
  starttls: 'not-offered',
  behindStarttls: null,
  behindReply: null,
};

/** Steps are written `C: text` and `S: text`, C being the client and S the backend. */
function transcript(name: string, lines: readonly string[], expected: Partial<Outcome>): Transcript {
  const steps = lines.map((line): Step => {
    return { from: line.startsWith('C: ') ? 'client' : 'backend', text: line.slice('C: '.length) };
  });
  return { name, steps, expected: { ...NOTHING_LEARNT, ...expected } };
}

const GREETING = 'S: 220 mx.example.net ESMTP\r\n';
const OFFER = 'S: 250-mx.example.net\r\n250-SIZE 1000\r\n250 STARTTLS\r\n';
const OFFERED: Partial<Outcome> = {
  hello: 'EHLO',
  name: 'c.example',
  capabilities: ['SIZE', 'STARTTLS'],
  starttls: 'offered',
};
const HELLO = 'C: EHLO c.example\r\n';
const TLS_RECORD = '\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03';

const SERVERS: readonly Transcript[] = [
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

const HELLOS: readonly Transcript[] = [
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

const STARTTLS: readonly Transcript[] = [
  transcript(
    'refused, then mail',
    [GREETING, HELLO, OFFER, 'C: STARTTLS\r\n', 'S: 454 no\r\n', 'C: RSET\r\n'],
    {
      ...OFFERED,
      phase: 'opaque',
      cause: 'other-command',
      starttls: 'refused',
      behindStarttls: 'RSET\r\n',
    },
  ),
  transcript(
    'refused, then accepted',
    [GREETING, HELLO, OFFER, 'C: STARTTLS\r\n', 'S: 454 4.7.0 busy\r\n', HELLO, OFFER].concat([
      'C: starttls\r\n',
      'S: 220-one moment\r\n220 go\r\n\x16\x03',
    ]),
    { ...OFFERED, phase: 'tls', starttls: 'accepted', behindStarttls: '', behindReply: '\x16\x03' },
  ),
  transcript('not offered, asked for all the same', [GREETING, 'C: STARTTLS\r\n', 'S: 220 go\r\n'], {
    phase: 'tls',
    starttls: 'accepted',
    behindStarttls: '',
    behindReply: '',
  }),
  transcript('with arguments', [GREETING, HELLO, OFFER, 'C: STARTTLS now\r\n', 'S: 501 Syntax\r\n'], {
    ...OFFERED,
    phase: 'opaque',
    cause: 'starttls-arguments',
  }),
  transcript('with blanks behind it', [GREETING, HELLO, OFFER, 'C: StartTLS \t\r\n', 'S: 220 go\r\n'], {
    ...OFFERED,
    phase: 'tls',
    starttls: 'accepted',
    behindStarttls: '',
    behindReply: '',
  }),
  ...['STARTTLS\n', 'STARTTLS\r', 'STARTTLS\rX', 'STARTTLS \n', 'STARTTLS\0\r\n', '\nSTARTTLS\r\n'].map(
    text =>
      transcript(`not by ${JSON.stringify(text)}`, [GREETING, HELLO, OFFER, `C: ${text}`, 'S: 220 go\r\n'], {
        ...OFFERED,
        phase: 'opaque',
        cause: text === 'STARTTLS\r' ? 'unasked-reply' : 'command-malformed',
      }),
  ),
  transcript('not by a longer word', [GREETING, HELLO, OFFER, 'C: STARTTLSX\r\n'], {
    ...OFFERED,
    phase: 'opaque',
    cause: 'other-command',
  }),
  transcript(
    'its CRLF on two segments',
    [GREETING, HELLO, OFFER, 'C: STARTTLS\r', 'C: \n', 'S: 220 go\r\n'],
    {
      ...OFFERED,
      phase: 'tls',
      starttls: 'accepted',
      behindStarttls: '',
      behindReply: '',
    },
  ),
  transcript(
    'a command behind it',
    [GREETING, HELLO, OFFER, 'C: STARTTLS\r\nMAIL FROM:<>\r\n', 'S: 220 go\r\n'],
    {
      ...OFFERED,
      phase: 'opaque',
      cause: 'behind-starttls',
      starttls: 'accepted',
      behindStarttls: 'MAIL FROM:<>\r\n',
      behindReply: '',
    },
  ),
  transcript('a TLS record behind it', [GREETING, HELLO, OFFER, 'C: STARTTLS\r\n', `C: ${TLS_RECORD}`], {
    ...OFFERED,
    phase: 'starttls-reply',
    cause: 'behind-starttls',
    starttls: 'requested',
    behindStarttls: TLS_RECORD,
  }),
  transcript(
    'a second one behind it',
    [GREETING, HELLO, OFFER, 'C: STARTTLS\r\nSTARTTLS\r\n', 'S: 454 no\r\n'],
    {
      ...OFFERED,
      phase: 'opaque',
      cause: 'behind-starttls',
      starttls: 'refused',
      behindStarttls: 'STARTTLS\r\n',
    },
  ),
  transcript('together with EHLO', [GREETING, 'C: EHLO c.example\r\nSTARTTLS\r\n', OFFER, 'S: 220 go\r\n'], {
    ...OFFERED,
    phase: 'tls',
    starttls: 'accepted',
    behindStarttls: '',
    behindReply: '',
  }),
  transcript('together with EHLO and junk', [GREETING, 'C: EHLO c.example\r\nSTARTTLS\r\njunk', OFFER], {
    ...OFFERED,
    phase: 'starttls-reply',
    cause: 'behind-starttls',
    starttls: 'requested',
    behindStarttls: 'junk',
  }),
];

const LONG = 'x'.repeat(600);

const HOSTILE: readonly Transcript[] = [
  transcript('opaque at once', [GREETING, 'C: NOOP\r\n'], { phase: 'opaque', cause: 'other-command' }),
  transcript('an empty line', [GREETING, 'C: \r\n'], { phase: 'opaque', cause: 'other-command' }),
  transcript(
    'MAIL behind EHLO',
    [GREETING, 'C: EHLO c.example\r\nMAIL FROM:<>\r\n', OFFER, 'S: 250 ok\r\n'],
    {
      ...OFFERED,
      phase: 'opaque',
      cause: 'other-command',
    },
  ),
  transcript('MAIL behind EHLO, no answer yet', [GREETING, 'C: EHLO c.example\r\nMAIL FROM:<>\r\n'], {
    phase: 'hello-reply',
    cause: 'other-command',
    hello: 'EHLO',
    name: 'c.example',
  }),
  transcript('early talker', [HELLO, GREETING, OFFER], OFFERED),
  transcript('early talker within the pause', ['S: 220-mx\r\n', HELLO, 'S: 220 mx\r\n', OFFER], OFFERED),
  transcript(
    'early talker with other things to say',
    ['C: MAIL FROM:<>\r\n', 'S: 220-mx\r\n', 'S: 220 mx\r\n'],
    {
      phase: 'opaque',
      cause: 'other-command',
    },
  ),
  transcript('HTTP', [GREETING, 'C: GET / HTTP/1.1\r\nHost: mx.example.net:25\r\n\r\n'], {
    phase: 'refused',
    fault: 'foreign-protocol',
  }),
  transcript('HTTP before the greeting', ['C: post /', GREETING], {
    phase: 'refused',
    fault: 'foreign-protocol',
    code: 0,
  }),
  transcript('an HTTP verb of a longer word', [GREETING, 'C: GETS / HTTP/1.1\r\n'], {
    phase: 'opaque',
    cause: 'other-command',
  }),
  transcript('an HTTP verb without a blank', [GREETING, 'C: OPTIONS\r\n'], {
    phase: 'opaque',
    cause: 'other-command',
  }),
  transcript('an HTTP verb after EHLO', [GREETING, HELLO, OFFER, 'C: CONNECT x:25\r\n'], {
    ...OFFERED,
    phase: 'opaque',
    cause: 'other-command',
  }),
  transcript('a TLS record on a plaintext port', [GREETING, `C: ${TLS_RECORD}`], {
    phase: 'refused',
    fault: 'foreign-protocol',
  }),
  transcript('a TLS record after EHLO', [GREETING, HELLO, OFFER, `C: ${TLS_RECORD}`], {
    ...OFFERED,
    phase: 'opaque',
    cause: 'other-command',
  }),
  transcript('a LF in a name', [GREETING, 'C: EHLO a\nSTARTTLS\r\n', OFFER], {
    phase: 'opaque',
    cause: 'command-malformed',
  }),
  transcript('a NUL in a name', [GREETING, 'C: EHLO a\0b\r\n'], {
    phase: 'opaque',
    cause: 'command-malformed',
  }),
  transcript('a command line of 512 octets', [GREETING, `C: EHLO b${' '.repeat(504)}\r\n`], {
    phase: 'hello-reply',
    hello: 'EHLO',
    name: 'b',
  }),
  transcript('a command line of 513 octets', [GREETING, `C: EHLO b${' '.repeat(505)}\r\n`], {
    phase: 'opaque',
    cause: 'command-oversize',
  }),
  transcript('a command line without end', [GREETING, `C: HELO ${LONG}${LONG}`], {
    phase: 'opaque',
    cause: 'command-oversize',
  }),
  transcript('a backend that says 421 unasked', [GREETING, 'S: 421 4.4.2 timeout\r\n', 'C: EHLO late\r\n'], {
    phase: 'opaque',
    cause: 'unasked-reply',
  }),
  transcript('a greeting whose code changes', ['S: 220-mx\r\n221 mx\r\n'], {
    phase: 'refused',
    fault: 'greeting-malformed',
  }),
  transcript('a NUL on the second line of a greeting', ['S: 220-mx\r\n220 m\0x\r\n'], {
    phase: 'refused',
    fault: 'greeting-malformed',
  }),
  transcript('a bare LF in a greeting', ['S: 220-mx\r\n220-mx\n220 mx\r\n'], {
    phase: 'refused',
    fault: 'greeting-malformed',
  }),
  transcript('a CR for a separator and no line end', ['S: 220\rmx\r\n'], {
    phase: 'refused',
    fault: 'greeting-malformed',
    code: 0,
  }),
  transcript('a greeting line without end', [`S: 220-mx\r\n220 ${LONG}`], {
    phase: 'refused',
    fault: 'greeting-oversize',
  }),
  transcript(
    'a greeting without end',
    Array.from({ length: 34 }, () => `S: 220-${'y'.repeat(500)}\r\n`),
    {
      phase: 'refused',
      fault: 'greeting-oversize',
    },
  ),
  transcript('an EHLO reply whose code changes', [GREETING, HELLO, 'S: 250-mx\r\n251-DSN\r\n250 SIZE\r\n'], {
    phase: 'opaque',
    cause: 'reply-malformed',
    hello: 'EHLO',
    name: 'c.example',
  }),
  transcript(
    'an EHLO reply line of 512 octets',
    [GREETING, HELLO, `S: 250-mx\r\n250 DSN ${'z'.repeat(502)}\r\n`],
    {
      hello: 'EHLO',
      name: 'c.example',
      capabilities: ['DSN'],
    },
  ),
  transcript(
    'an EHLO reply line of 513 octets',
    [GREETING, HELLO, `S: 250-mx\r\n250 DSN ${'z'.repeat(503)}\r\n`],
    {
      phase: 'opaque',
      cause: 'reply-oversize',
      hello: 'EHLO',
      name: 'c.example',
    },
  ),
  transcript(
    'an EHLO reply without end',
    [GREETING, HELLO, `S: ${'250-NO\r\n'.repeat(2048)}`, 'S: 250 DSN\r\n'],
    {
      phase: 'opaque',
      cause: 'reply-oversize',
      hello: 'EHLO',
      name: 'c.example',
    },
  ),
];

export const TRANSCRIPTS: readonly Transcript[] = [...SERVERS, ...HELLOS, ...STARTTLS, ...HOSTILE];
