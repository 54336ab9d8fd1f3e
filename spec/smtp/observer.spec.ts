import t from 'tap';
import { everywhere, merged, replay } from './replay.ts';
import type { Outcome, Step } from './transcript.ts';
import { TRANSCRIPTS } from './transcripts.ts';

const whole = () => [];

t.test('what a transcript says, however TCP cuts it', async t => {
  t.equal(new Set(TRANSCRIPTS.map(({ name }) => name)).size, TRANSCRIPTS.length, 'names are unique');
  let replays = 0;
  for (const { name, steps, expected } of TRANSCRIPTS) {
    t.strictSame(sorted(replay(steps, whole)), sorted(expected), `${name}: in one piece a step`);
    t.strictSame(replay(steps, everywhere), replay(steps, whole), `${name}: octet by octet`);
    t.strictSame(replay(merged(steps), whole), replay(steps, whole), `${name}: neighbouring steps as one`);
    t.strictSame(replay(merged(steps), everywhere), replay(steps, whole), `${name}: both`);
    const [different, tried] = cutsThatMatter(steps);
    t.strictSame(different, [], `${name}: cut in two, at every offset`);
    replays += tried + 4;
  }
  t.comment(`${TRANSCRIPTS.length} transcripts, ${replays} replays`);
});

/** The cuts into two pieces that change the outcome, and how many were tried. */
function cutsThatMatter(steps: readonly Step[]): [string[], number] {
  const expected = JSON.stringify(replay(steps, whole));
  const different: string[] = [];
  let tried = 0;
  for (const [number, step] of steps.entries()) {
    for (let at = 0; at <= step.text.length; at++) {
      const outcome = replay(steps, (_, other) => (other === number ? [at] : []));
      tried++;
      if (JSON.stringify(outcome) !== expected) different.push(`step ${number} at ${at}`);
    }
  }
  return [different, tried];
}

t.test('a client that does not wait for the greeting is seen as one that does', async t => {
  let tried = 0;
  for (const { name, steps, expected } of TRANSCRIPTS) {
    const [greeting, first] = steps;
    if (greeting?.from !== 'backend' || first?.from !== 'client' || expected.fault !== null) continue;
    const rest = steps.slice(2);
    const different: number[] = [];
    for (let at = 0; at < greeting.text.length; at++) {
      const before: Step = { from: 'backend', text: greeting.text.slice(0, at) };
      const behind: Step = { from: 'backend', text: greeting.text.slice(at) };
      const early = replay([before, first, behind, ...rest], whole);
      if (JSON.stringify(early) !== JSON.stringify(replay(steps, whole))) different.push(at);
      tried++;
    }
    t.strictSame(different, [], `${name}: within the greeting, at every offset`);
  }
  t.ok(tried > 500, `${tried} early clients`);
});

t.test('what a session acts on is known at the first octet that decides it', async t => {
  const phases = (steps: readonly Step[]) => {
    const seen: string[] = [];
    replay(steps, everywhere, observer => seen.push(observer.phase));
    return seen;
  };
  const greeting: Step = { from: 'backend', text: '220 \r\n' };
  const afterGreeting = (text: string) =>
    phases([greeting, { from: 'client', text }]).slice(greeting.text.length);
  t.strictSame(afterGreeting('MA'), ['opaque', 'opaque']);
  t.strictSame(afterGreeting('RSET'), ['opaque', 'opaque', 'opaque', 'opaque']);
  t.strictSame(afterGreeting('HELP'), ['command', 'command', 'command', 'opaque']);
  t.strictSame(afterGreeting('GET /'), ['command', 'command', 'command', 'refused', 'refused']);
  t.strictSame(afterGreeting('\x16'), ['refused']);
  t.strictSame(afterGreeting('STARTTLS\r\n').slice(-2), ['command', 'starttls-reply']);
});

t.test('the boundary is an offset in the last chunk, and of that chunk only', async t => {
  const seen: number[] = [];
  const steps: Step[] = [
    { from: 'backend', text: '220 mx\r\n' },
    { from: 'client', text: 'EHLO a\r\nSTARTTLS\r\n' },
    { from: 'backend', text: '250-mx\r\n250 STARTTLS\r\n220 go\r\nx' },
    { from: 'client', text: '\x16\x03\x01' },
  ];
  replay(steps, whole, observer => seen.push(observer.boundary));
  t.strictSame(seen, [-1, 18, 30, -1]);
});

t.test('a finished observer learns nothing more', async t => {
  for (const { name, steps } of TRANSCRIPTS) {
    let end: string | null = null;
    const more: Step[] = [
      { from: 'client', text: 'EHLO again\r\nSTARTTLS\r\n' },
      { from: 'backend', text: '250-x\r\n250 ETRN\r\n220 x\r\n' },
    ];
    replay([...steps, ...more], whole, observer => {
      const { phase, fault, starttls, capabilities, hello } = observer;
      const now = JSON.stringify([phase, fault, starttls, capabilities, hello, observer.helloName()]);
      if (end !== null && now !== end) t.fail(`${name}: ${end} became ${now}`);
      if (observer.done || phase === 'refused') end = now;
    });
  }
});

function sorted(outcome: Outcome): Outcome {
  return { ...outcome, capabilities: outcome.capabilities.toSorted() };
}
