import t from 'tap';
import { createGreetingGate, type GreetingFault, type GreetingVerdict } from '../../lib/smtp/greeting.ts';
import { pieces } from './replay.ts';

interface Decision {
  readonly verdict: GreetingVerdict;
  readonly code: number;
  readonly reason: GreetingFault | null;
  readonly consumed: number;
}

function decide(chunks: readonly string[]): Decision {
  const gate = createGreetingGate();
  for (const chunk of chunks) {
    const verdict = gate.offer(Buffer.from(chunk, 'latin1'));
    if (verdict !== gate.verdict) throw new Error('the verdict is returned and kept');
  }
  return { verdict: gate.verdict, code: gate.code, reason: gate.reason, consumed: gate.consumed };
}

const more = (consumed: number): Decision => ({ verdict: 'more', code: 0, reason: null, consumed });
const good = (consumed: number): Decision => ({ verdict: 'good', code: 220, reason: null, consumed });
const busy = (code: number, consumed: number): Decision => ({
  verdict: 'busy',
  code,
  reason: null,
  consumed,
});
const bad = (reason: GreetingFault, consumed: number): Decision => ({
  verdict: 'bad',
  code: 0,
  reason,
  consumed,
});

const GREETINGS: readonly (readonly [string, Decision])[] = [
  ['', more(0)],
  ['22', more(2)],
  ['220', more(3)],
  ['220-mx.example.net', more(18)],
  ['220 mx\r', more(7)],
  ['4', more(1)],
  ['220 mx.example.net ESMTP\r\n', good(26)],
  ['220-mx.example.net ESMTP\r\n', good(26)],
  ['220-mx\r\n250 what follows is not looked at', good(8)],
  ['220\r\n', good(5)],
  ['220 m\xfcller\r\n', good(12)],
  ['220 a\rb\r\n', good(9)],
  [`220 ${'x'.repeat(506)}\r\n`, good(512)],
  ['421 4.3.2 shutting down\r\n', busy(421, 25)],
  ['450-try\r\n450 later\r\n', busy(450, 9)],
  ['554 5.7.1 go away\r\n', busy(554, 19)],
  ['500\r\n', busy(500, 5)],
  ['SSH-2.0-OpenSSH_9.2\r\n', bad('not-smtp', 1)],
  ['HTTP/1.1 400 Bad Request\r\n', bad('not-smtp', 1)],
  ['\x15\x03\x03\x00\x02\x02\x46', bad('not-smtp', 1)],
  ['* OK IMAP4 ready\r\n', bad('not-smtp', 1)],
  ['+OK POP3\r\n', bad('not-smtp', 1)],
  ['\r\n220 mx\r\n', bad('not-smtp', 1)],
  ['22x', bad('not-smtp', 3)],
  ['2200 mx\r\n', bad('not-smtp', 4)],
  ['220\tmx\r\n', bad('not-smtp', 4)],
  ['220\n', bad('not-smtp', 4)],
  ['220\rmx\r\n', bad('not-smtp', 5)],
  ['250 mx\r\n', bad('wrong-code', 2)],
  ['221 mx\r\n', bad('wrong-code', 3)],
  ['354 mx\r\n', bad('wrong-code', 1)],
  ['120 mx\r\n', bad('wrong-code', 1)],
  ['\0', bad('nul', 1)],
  ['220 m\0x\r\n', bad('nul', 6)],
  ['220 mx\n', bad('bare-newline', 7)],
  ['220-mx\n220 mx\r\n', bad('bare-newline', 7)],
  [`220 ${'x'.repeat(507)}\r\n`, bad('oversize', 512)],
  ['220-'.padEnd(4000, 'y'), bad('oversize', 512)],
];

t.test('a greeting is judged the same however it is cut', async t => {
  let tried = 0;
  for (const [text, expected] of GREETINGS) {
    const name = JSON.stringify(text.slice(0, 40));
    t.strictSame(decide([text]), expected, name);
    t.strictSame(decide([...text]), expected, `${name}: octet by octet`);
    const different: number[] = [];
    for (let at = 0; at <= text.length; at++, tried++) {
      if (JSON.stringify(decide(pieces(text, [at]))) !== JSON.stringify(expected)) different.push(at);
    }
    t.strictSame(different, [], `${name}: cut in two, at every offset`);
  }
  t.comment(`${GREETINGS.length} greetings, ${tried} cuts`);
});

t.test('a verdict falls with the octet that decides it, not later', async t => {
  for (const [text, expected] of GREETINGS) {
    if (expected.verdict === 'more') continue;
    t.equal(decide([text.slice(0, expected.consumed)]).verdict, expected.verdict);
    t.equal(decide([text.slice(0, expected.consumed - 1)]).verdict, 'more');
  }
});

t.test('each backend tried has a gate of its own, and a verdict is final', async t => {
  const gate = createGreetingGate();
  t.equal(gate.offer(Buffer.from('SSH-')), 'bad');
  t.equal(gate.offer(Buffer.from('220 mx\r\n')), 'bad');
  t.equal(gate.consumed, 1);
  t.equal(createGreetingGate().offer(Buffer.from('220 mx\r\n')), 'good');
});

t.test('a first line tells whether it is the last one', async t => {
  const texts = ['220 mx\r\n', '220\r\n', '554 no\r\n', '220-mx\r\n', '554-no\r\n', '220 mx', '220\rmx\r\n'];
  const last = texts.map(text => {
    const gate = createGreetingGate();
    for (const octet of text) gate.offer(Buffer.from(octet));
    return gate.last;
  });
  t.strictSame(last, [true, true, true, false, false, false, false]);
});
