import t from 'tap';
import { REPLY_LINE_OCTETS, REPLY_OCTETS } from '../../lib/core/limits.ts';
import { capabilityNames } from '../../lib/smtp/capabilities.ts';
import { createHelloRewriter, type HelloRewriterOptions } from '../../lib/smtp/hello-rewriter.ts';
import { randomFrom, seedOfRun } from './random.ts';

const EDGE: HelloRewriterOptions = { cut: ['STARTTLS', 'XCLIENT', 'XFORWARD'], add: ['STARTTLS'] };
const INSIDE: HelloRewriterOptions = { cut: ['STARTTLS', 'XCLIENT', 'XFORWARD'], add: [] };

/** What comes out of `pieces`, and where the reading ended. */
function rewrite(options: HelloRewriterOptions, pieces: readonly Uint8Array[]) {
  const rewriter = createHelloRewriter(options);
  let out = '';
  let read = 0;
  for (const piece of pieces) {
    let at = 0;
    while (at < piece.length) {
      const next = rewriter.read(piece, at);
      out += Buffer.from(rewriter.take()).toString('latin1');
      read += next - at;
      if (next === at) return { out, read, rewriter };
      at = next;
    }
  }
  return { out, read, rewriter };
}

const whole = (options: HelloRewriterOptions, text: string) =>
  rewrite(options, [Buffer.from(text, 'latin1')]);

const CASES: readonly (readonly [
  what: string,
  options: HelloRewriterOptions,
  before: string,
  after: string,
])[] = [
  [
    'STARTTLS added behind the others',
    EDGE,
    '250-mx.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n',
    '250-mx.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 STARTTLS\r\n',
  ],
  [
    'a reply of one line',
    EDGE,
    '250 mx.example at your service\r\n',
    '250-mx.example at your service\r\n250 STARTTLS\r\n',
  ],
  ['a reply of one line without text', EDGE, '250\r\n', '250-\r\n250 STARTTLS\r\n'],
  ['a reply of one line with an empty text', EDGE, '250 \r\n', '250-\r\n250 STARTTLS\r\n'],
  [
    "the backend's own in any place and case",
    EDGE,
    '250-mx\r\n250-starttls\r\n250-SIZE 100\r\n250-XCLIENT NAME ADDR\r\n250 xForward NAME\r\n',
    '250-mx\r\n250-SIZE 100\r\n250 STARTTLS\r\n',
  ],
  ['the last line cut', INSIDE, '250-mx\r\n250-SIZE\r\n250 STARTTLS\r\n', '250-mx\r\n250 SIZE\r\n'],
  ['all lines cut but the first', INSIDE, '250-mx\r\n250-STARTTLS\r\n250 XCLIENT NAME\r\n', '250 mx\r\n'],
  [
    'nothing to cut',
    INSIDE,
    '250-mx\r\n250-SIZE\r\n250 AUTH LOGIN\r\n',
    '250-mx\r\n250-SIZE\r\n250 AUTH LOGIN\r\n',
  ],
  [
    'words that only begin so, and a host with that name',
    INSIDE,
    '250-STARTTLS says hello\r\n250-STARTTLSX\r\n250-XSTARTTLS\r\n250 SIZE STARTTLS\r\n',
    '250-STARTTLS says hello\r\n250-STARTTLSX\r\n250-XSTARTTLS\r\n250 SIZE STARTTLS\r\n',
  ],
  [
    'odd octets',
    INSIDE,
    '250-m\xfcx \r a\r\n250-\r\n250-  STARTTLS\r\n250 \t\r\n',
    '250-m\xfcx \r a\r\n250-\r\n250-  STARTTLS\r\n250 \t\r\n',
  ],
  [
    'a refusal',
    EDGE,
    '550-no\r\n550-STARTTLS\r\n550 go away\r\n',
    '550-no\r\n550-STARTTLS\r\n550 go away\r\n',
  ],
  ['another code of success', EDGE, '251-STARTTLS\r\n251 STARTTLS\r\n', '251-STARTTLS\r\n251 STARTTLS\r\n'],
  ['what is no reply', EDGE, '250-mx\r\n250-SIZE\r\nhello\r\n', '250-mx\r\n250-SIZE\r\nh'],
  ['a bare newline', EDGE, '250-mx\r\n250 STARTTLS\n', '250-mx\r\n250 STARTTLS\n'],
  [
    'parameters are added, too',
    { cut: [], add: ['SIZE 52428800', 'STARTTLS'] },
    '250-mx\r\n250-SIZE 1\r\n250 DSN\r\n',
    '250-mx\r\n250-DSN\r\n250-SIZE 52428800\r\n250 STARTTLS\r\n',
  ],
];

t.test('lines are cut and added, and nothing else changes, however the reply is cut', async t => {
  let replayed = 0;
  for (const [what, options, before, after] of CASES) {
    const bytes = Buffer.from(before, 'latin1');
    t.equal(whole(options, before).out, after, what);
    const apart = Array.from(bytes, octet => Uint8Array.of(octet));
    t.equal(rewrite(options, apart).out, after, `${what}, octet by octet`);
    for (let at = 1; at < bytes.length; at++) {
      const { out } = rewrite(options, [bytes.subarray(0, at), bytes.subarray(at)]);
      if (out !== after) t.equal(out, after, `${what}, cut at ${at}`);
      replayed++;
    }
  }
  t.comment(`${replayed} cuts`);
});

t.test('it stops behind a reply, tells its code, and goes on with the next', async t => {
  const text = '250-mx\r\n250 STARTTLS\r\n250 mx\r\n421 bye\r\n';
  const bytes = Buffer.from(text, 'latin1');
  const rewriter = createHelloRewriter(EDGE);
  const replies: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    at = rewriter.read(bytes, at);
    replies.push(`${rewriter.status} ${rewriter.code} ${Buffer.from(rewriter.take()).toString('latin1')}`);
  }
  t.strictSame(replies, [
    'end 250 250-mx\r\n250 STARTTLS\r\n',
    'end 250 250-mx\r\n250 STARTTLS\r\n',
    'end 421 421 bye\r\n',
  ]);
});

t.test('what the backend offered is known, cut or not', async t => {
  const { rewriter } = whole(EDGE, '250-mx\r\n250-STARTTLS\r\n250 XCLIENT NAME\r\n');
  t.strictSame(capabilityNames(rewriter.capabilities), ['STARTTLS', 'XCLIENT']);
});

t.test('the bytes given are neither kept nor changed', async t => {
  const bytes = Buffer.from('250 mx\r\n', 'latin1');
  const { out } = rewrite(EDGE, [bytes]);
  t.equal(bytes.toString('latin1'), '250 mx\r\n');
  t.equal(out, '250-mx\r\n250 STARTTLS\r\n');
});

t.test('what is held back is bounded', async t => {
  const endless = Buffer.alloc(REPLY_LINE_OCTETS * 3, 'x');
  endless.write('250-');
  const line = rewrite(EDGE, [endless]);
  t.equal(line.rewriter.status, 'line-oversize');
  t.equal(line.out.length, REPLY_LINE_OCTETS, 'nothing of it is lost');
  const lines = Buffer.from('250-SIZE\r\n'.repeat(REPLY_OCTETS), 'latin1');
  t.equal(rewrite(EDGE, [lines]).rewriter.status, 'reply-oversize');
});

t.test('whatever a backend says, the lines that stay are its own', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const words = ['STARTTLS', 'SIZE 1', 'x', '', 'XCLIENT A', 'AUTH=PLAIN', 'Starttls x'];
  const pick = (below: number) => random.below(below);
  for (let round = 0; round < 2_000; round++) {
    const lines = Array.from({ length: 1 + pick(6) }, () => words[pick(words.length)] as string);
    const text = lines.map((line, at) => `250${at === lines.length - 1 ? ' ' : '-'}${line}\r\n`).join('');
    const cut = 1 + pick(text.length);
    const bytes = Buffer.from(text, 'latin1');
    const { out } = rewrite(EDGE, [bytes.subarray(0, cut), bytes.subarray(cut)]);
    const kept = lines.filter((line, at) => at === 0 || !/^(?:starttls|xclient)(?: |$)/i.test(line));
    const expected = [...kept, 'STARTTLS'].map(
      (line, at) => `250${at === kept.length ? ' ' : '-'}${line}\r\n`,
    );
    if (out !== expected.join(''))
      return t.equal(out, expected.join(''), `SMTPLB_SEED=${seed}: ${JSON.stringify(text)}`);
  }
  t.pass(`seed ${seed}`);
});
