import t from 'tap';
import { capabilityBit } from '../../lib/smtp/capabilities.ts';
import { CommandGuard } from '../../lib/smtp/command-guard.ts';

const CHUNKING = capabilityBit('CHUNKING');

/** A backend's reply, or what the client says. */
type Move = string | { readonly code: number; readonly capabilities?: number };
const says = (code: number, capabilities = 0): Move => ({ code, capabilities });

/** Plays a session; what is held back is offered again after each reply. Returns what went on to the backend. */
function play(moves: readonly Move[], cut: (text: string) => string[] = text => [text]) {
  const guard = new CommandGuard();
  let passed = '';
  let held = '';
  const offer = (text: string): void => {
    const bytes = Buffer.from(text, 'latin1');
    const length = guard.read(bytes, 0);
    passed += text.slice(0, length);
    held += text.slice(length);
  };
  guard.replied(220, 0);
  for (const move of moves) {
    if (typeof move !== 'string') {
      guard.replied(move.code, move.capabilities ?? 0);
      const again = held;
      held = '';
      offer(again);
    } else {
      for (const piece of cut(move)) {
        if (held === '') offer(piece);
        else held += piece;
      }
    }
  }
  return { passed, held, state: guard.state };
}

const EHLO: readonly Move[] = ['EHLO c\r\n', says(250, CHUNKING)];
const ENVELOPE = 'MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\n';

const ATTACKS: readonly (readonly [string, readonly Move[]])[] = [
  ['at once', ['XCLIENT ADDR=10.0.0.1\r\n']],
  ['in any case', ['xClIeNt ADDR=10.0.0.1\r\n']],
  ['XFORWARD', ['XFORWARD ADDR=10.0.0.1\r\n']],
  ['STARTTLS', [...EHLO, 'STARTTLS\r\n']],
  ['pipelined behind EHLO', ['EHLO c\r\nXCLIENT ADDR=10.0.0.1\r\n']],
  ['behind blanks', ['NOOP\r\n \tXCLIENT ADDR=10.0.0.1\r\n']],
  ['behind a quote', ['"XCLIENT" ADDR=10.0.0.1\r\n']],
  ['behind a bare LF', ['NOOP\nXCLIENT ADDR=10.0.0.1\r\n', says(250)]],
  ['behind a bare CR', ['NOOP\rXCLIENT ADDR=10.0.0.1\r\n']],
  ['in a chunk that is none', ['EHLO c\r\n', says(250), 'BDAT 40\r\nXCLIENT ADDR=10.0.0.1\r\n', says(502)]],
  ['in a chunk after HELO', ['HELO c\r\n', says(250), 'BDAT 40\r\nXCLIENT ADDR=10.0.0.1\r\n', says(502)]],
  ['in a chunk with another number', [...EHLO, 'BDAT 0x40\r\nXCLIENT ADDR=10.0.0.1\r\n', says(501)]],
  ['behind a chunk', [...EHLO, `${ENVELOPE}BDAT 2 LAST\r\nhiXCLIENT ADDR=10.0.0.1\r\n`]],
  ['behind DATA that is refused', [...EHLO, 'DATA\r\nXCLIENT ADDR=10.0.0.1\r\n', says(503)]],
  ['behind the end of a message', [...EHLO, 'DATA\r\n', says(354), 'x\r\n.\r\nXCLIENT ADDR=10.0.0.1\r\n']],
  ['behind an empty message', [...EHLO, 'DATA\r\n', says(354), '.\r\nXCLIENT ADDR=10.0.0.1\r\n']],
  ['behind LF.LF', [...EHLO, 'DATA\r\n', says(354), 'x\n.\nXCLIENT ADDR=10.0.0.1\r\n']],
  ['behind LF.CRLF', [...EHLO, 'DATA\r\n', says(354), 'x\n.\r\nXCLIENT ADDR=10.0.0.1\r\n']],
  ['behind CRLF.LF', [...EHLO, 'DATA\r\n', says(354), 'x\r\n.\nXCLIENT ADDR=10.0.0.1\r\n']],
  ['behind CR.CR', [...EHLO, 'DATA\r\n', says(354), 'x\r.\rXCLIENT ADDR=10.0.0.1\r\n']],
  [
    'in a chunk, after a message that ended in two ways',
    [
      ...EHLO,
      'DATA\r\n',
      says(354),
      'x\n.\nNOOP\r\n.\r\n',
      says(250),
      `BDAT 60\r\n.\r\nXCLIENT ADDR=10.0.0.1\r\n`,
    ],
  ],
  [
    'in a chunk that is data, DATA hidden by a blank',
    [...EHLO, ' DATA\r\nBDAT 60\r\n.\r\nXCLIENT ADDR=10.0.0.1\r\n', says(354)],
  ],
  [
    'in a chunk that answers AUTH',
    [...EHLO, 'AUTH LOGIN\r\nBDAT 60\r\nXCLIENT ADDR=10.0.0.1\r\n', says(334), says(535)],
  ],
  ['behind an answer to AUTH', [...EHLO, 'AUTH PLAIN\r\n', says(334), 'AAAA\r\nXCLIENT A=1\r\n', says(235)]],
  [
    'behind many commands',
    [
      ...EHLO,
      `${'NOOP\r\n'.repeat(2_000)}XCLIENT A=1\r\n`,
      ...Array.from({ length: 1_999 }, () => says(250)),
    ],
  ],
  [
    'in LMTP, behind more replies than commands',
    [
      'LHLO c\r\n',
      says(250, CHUNKING),
      `${ENVELOPE}RCPT TO:<g@h.i>\r\nDATA\r\n`,
      says(250),
      says(250),
      says(250),
      says(354),
      'x\r\n.\r\n DATA\r\nBDAT 60\r\n.\r\nXCLIENT A=1\r\n',
      says(250),
      says(250),
      says(354),
    ],
  ],
];

t.test('what is ours to say never goes on, wherever a server may read a command', t => {
  for (const [what, moves] of ATTACKS) {
    for (const cut of [(text: string) => [text], (text: string) => [...text]]) {
      const { passed, state } = play(moves, cut);
      t.equal(state, 'broken', what);
      t.notMatch(passed, /(?:xclient|xforward|starttls)/i, what);
    }
  }
  t.end();
});

const HONEST: readonly (readonly [string, readonly Move[]])[] = [
  [
    'a message about it',
    [
      ...EHLO,
      `${ENVELOPE}DATA\r\n`,
      says(250),
      says(250),
      says(354),
      'Subject: x\r\n\r\nXCLIENT ADDR=1\r\nSTARTTLS\r\n..\r\n.\r\n',
      says(250),
      'QUIT\r\n',
    ],
  ],
  ['a chunk about it', [...EHLO, `${ENVELOPE}BDAT 16 LAST\r\nXCLIENT ADDR=1\r\nQUIT\r\n`]],
  ['two chunks', [...EHLO, `${ENVELOPE}BDAT 9\r\nXCLIENT\r\nBDAT 0 LAST\r\nNOOP\r\n`]],
  [
    'an answer that spells it',
    [...EHLO, 'AUTH LOGIN\r\n', says(334), 'XCLIENT\r\n', says(334), 'STARTTLS\r\n', says(235), 'QUIT\r\n'],
  ],
  [
    'a pipelined session',
    [
      ...EHLO,
      `RSET\r\n${ENVELOPE}DATA\r\n`,
      says(250),
      says(250),
      says(250),
      says(354),
      'x\r\n.\r\n',
      says(250),
      `${ENVELOPE}DATA\r\n`,
      says(250),
      says(250),
      says(354),
      'XFORWARD\r\n.\r\nQUIT\r\n',
    ],
  ],
  [
    'two recipients in LMTP',
    [
      'LHLO c\r\n',
      says(250),
      `${ENVELOPE}RCPT TO:<g@h.i>\r\nDATA\r\n`,
      says(250),
      says(250),
      says(250),
      says(354),
      'STARTTLS\r\n.\r\nQUIT\r\n',
      says(250),
      says(250),
      says(221),
    ],
  ],
  ['an unknown command', [...EHLO, 'XSOMETHING\r\nNOOP\r\n', says(502), says(250)]],
  ['a name that contains it', ['EHLO xclient.example\r\nMAIL FROM:<starttls@x.y>\r\n']],
];

t.test('all else goes on, octet for octet', t => {
  for (const [what, moves] of HONEST) {
    for (const cut of [(text: string) => [text], (text: string) => [...text]]) {
      const { passed, held, state } = play(moves, cut);
      t.not(state, 'broken', what);
      t.equal(passed + held, moves.filter(move => typeof move === 'string').join(''), what);
      t.equal(held, '', what);
    }
  }
  t.end();
});
