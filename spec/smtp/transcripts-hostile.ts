import { GREETING, HELLO, OFFER, OFFERED, TLS_RECORD, type Transcript, transcript } from './transcript.ts';

const LONG = 'x'.repeat(600);

/** Peers that speak early, speak something else, or do not stop. */
export const HOSTILE: readonly Transcript[] = [
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
  transcript('a refusal within the greeting', ['S: 220-mx\r\n', 'S: 521 5.7.1 blocked\r\n'], {
    phase: 'opaque',
    cause: 'reply-malformed',
    code: 521,
  }),
  transcript('a refusal of several lines within the greeting', ['S: 220-mx\r\n421-4.3.2 no\r\n421 bye\r\n'], {
    phase: 'opaque',
    cause: 'reply-malformed',
    code: 421,
  }),
  transcript('half a refusal within the greeting', ['S: 220-mx\r\n521'], { phase: 'greeting' }),
  transcript('no refusal within the greeting', ['S: 220-mx\r\n521.\r\n'], {
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
