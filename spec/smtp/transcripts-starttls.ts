import { GREETING, HELLO, OFFER, OFFERED, TLS_RECORD, type Transcript, transcript } from './transcript.ts';

/** STARTTLS in all its forms, and what is not one. */
export const STARTTLS: readonly Transcript[] = [
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
