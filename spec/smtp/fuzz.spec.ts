import t from 'tap';
import { HELLO_NAME_OCTETS } from '../../lib/core/limits.ts';
import { createGreetingGate } from '../../lib/smtp/greeting.ts';
import { type Random, randomFrom, seedOfRun } from './random.ts';
import { everywhere, type Inspect, pieces, replay } from './replay.ts';
import type { Step } from './transcript.ts';
import { TRANSCRIPTS } from './transcripts.ts';

const ROUNDS = 20_000;
const WORDS = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  '-',
  '=',
  'EHLO ',
  'helo a\r\n',
  'STARTTLS\r\n',
  'GET ',
  '220 x\r\n',
].concat(['250-', '250 SIZE\r\n', '421 x\r\n', 'AUTH', 'DSN', '\x16\x03', '\xff', 'x'.repeat(250)]);

t.test('whatever the peers send, chunks make no difference and what is promised holds', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  t.comment(`SMTPLB_SEED=${seed}, ${ROUNDS} rounds`);
  const outcomes = new Set<string>();
  const broken: string[] = [];
  for (let round = 0; round < ROUNDS && broken.length === 0; round++) {
    const steps = round % 4 === 0 ? noise(random) : mutated(random);
    const whole = replay(steps, () => [], promises(broken));
    const again = replay(steps, step => randomCuts(random, step.text.length), promises(broken));
    const each = round % 8 === 0 ? replay(steps, everywhere, promises(broken)) : again;
    outcomes.add(`${whole.phase} ${whole.fault} ${whole.cause} ${whole.starttls}`);
    const expected = JSON.stringify(whole);
    for (const other of [again, each]) {
      if (JSON.stringify(other) !== expected) broken.push(`${expected} became ${JSON.stringify(other)}`);
    }
    if (broken.length > 0) broken.push(`round ${round}: ${JSON.stringify(steps)}`);
  }
  t.strictSame(broken, [], `seed ${seed}`);
  // Fuzz that always ends in the same state would show nothing.
  t.ok(outcomes.size >= 20, `${outcomes.size} kinds of outcome`);
});

t.test('a gate decides the same for every cut of any bytes', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const verdicts = new Set<string>();
  const broken: string[] = [];
  for (let round = 0; round < ROUNDS && broken.length === 0; round++) {
    const text = mutate(
      random,
      random.pick(['220 mx\r\n', '220-a\r\n220 b\r\n', '421 x\r\n', '554-x\r\n', '220 x']),
    );
    const [whole, cut] = [[text], pieces(text, randomCuts(random, text.length))].map(chunks => {
      const gate = createGreetingGate();
      for (const chunk of chunks) gate.offer(Buffer.from(chunk, 'latin1'));
      if (gate.consumed > text.length) broken.push('more octets than there were');
      if ((gate.verdict === 'bad') !== (gate.reason !== null)) broken.push('bad without a reason');
      if ((gate.code !== 0) !== (gate.verdict === 'good' || gate.verdict === 'busy')) broken.push('code');
      verdicts.add(`${gate.verdict} ${gate.reason}`);
      return JSON.stringify([gate.verdict, gate.code, gate.reason, gate.consumed]);
    });
    if (whole !== cut) broken.push(`${JSON.stringify(text)}: ${whole} became ${cut}`);
  }
  t.strictSame(broken, [], `seed ${seed}`);
  t.ok(verdicts.size >= 6, `${verdicts.size} kinds of verdict`);
});

/** Checks after every chunk; faults are collected, as an assertion for each would take longer than the test. */
function promises(broken: string[]): Inspect {
  let ended: string | null = null;
  let lost = false;
  const check = (holds: boolean, promise: string) => {
    if (!holds) broken.push(promise);
  };
  return (observer, octets) => {
    const { phase, fault, done, boundary, starttls, opaqueCause, greetingCode } = observer;
    check(done === (phase === 'tls' || phase === 'opaque'), 'done in tls and opaque only');
    check((fault !== null) === (phase === 'refused'), 'a fault refuses, and nothing else does');
    check(phase !== 'opaque' || opaqueCause !== null, 'opaque for a cause');
    check(phase !== 'tls' || (starttls === 'accepted' && opaqueCause === null), 'tls after a clean STARTTLS');
    check(phase !== 'starttls-reply' || starttls === 'requested', 'a reply to what was asked');
    check(!lost || opaqueCause !== null, 'a cause stays');
    check(ended === null || ended === phase, 'an end stays');
    check(boundary >= -1 && boundary <= octets && boundary !== 0, 'a boundary within the chunk');
    check(greetingCode === 0 || (greetingCode >= 200 && greetingCode <= 599), 'a code from 200 to 599');
    check(observer.helloName().length <= HELLO_NAME_OCTETS, 'a bounded name');
    check(!/[\0\r\n]/.test(observer.helloName()), 'a name of one line');
    lost ||= opaqueCause !== null;
    if (done || phase === 'refused') ended = phase;
  };
}

function noise(random: Random): Step[] {
  return Array.from({ length: 1 + random.below(6) }, () => ({
    from: random.pick(['client', 'backend'] as const),
    text: Array.from({ length: random.below(8) }, () => anything(random)).join(''),
  }));
}

function anything(random: Random): string {
  return random.below(3) > 0 ? random.pick(WORDS) : String.fromCharCode(random.below(256));
}

/** A known transcript with a few faults in it. The longest are left out: they only repeat themselves. */
function mutated(random: Random): Step[] {
  const short = TRANSCRIPTS.filter(
    ({ steps }) => steps.every(({ text }) => text.length < 600) && steps.length < 20,
  );
  const steps = [...random.pick(short).steps];
  for (let changes = random.below(4); changes > 0; changes--) {
    const at = random.below(steps.length);
    const step = steps[at];
    if (step === undefined) continue;
    const kind = random.below(6);
    if (kind === 0) steps.splice(at, 0, step);
    else if (kind === 1 && steps.length > 1) steps.splice(at, 1);
    else steps[at] = { from: step.from, text: mutate(random, step.text) };
  }
  return steps;
}

function mutate(random: Random, text: string): string {
  const at = random.below(text.length + 1);
  const kind = random.below(4);
  const skipped = kind === 0 ? 0 : 1 + random.below(kind === 3 ? 20 : 1);
  return text.slice(0, at) + (kind === 1 ? '' : anything(random)) + text.slice(at + skipped);
}

function randomCuts(random: Random, length: number): number[] {
  const cuts = Array.from({ length: random.below(6) }, () => random.below(length + 1));
  return cuts.sort((a, b) => a - b);
}
