import t from 'tap';
import { TICK_MS, Timer, TimerWheel } from '../../lib/core/timer-wheel.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';

function createTimer(onTimeout: () => void): Timer {
  return new Timer({ onTimeout });
}

/** One turn of the wheel is 1,024 slots. */
const TURN_MS = 1_024 * TICK_MS;
/** The model adds fractions of milliseconds up in another order than the wheel does. */
const ROUNDING_MS = 1e-6;

/** A wheel whose clock a test moves. */
function wheelAt(startMs: number) {
  const clock = { nowMs: startMs };
  return { clock, wheel: new TimerWheel(() => clock.nowMs) };
}

t.test('thousands of timers, armed, moved and cancelled at random, fire as a naive model says', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const { clock, wheel } = wheelAt(random.below(1_000_000) + random.below(1_000) / 1_000);
  const deadlines = new Map<Timer, number>();
  const faults: string[] = [];
  let fired = 0;
  let worstMs = 0;
  const armFor = (timer: Timer) => {
    const delayMs = random.pick([0, 1, TICK_MS, random.below(500), random.below(3 * TURN_MS)]);
    wheel.arm(timer, delayMs);
    deadlines.set(timer, clock.nowMs + delayMs);
  };
  const timers: Timer[] = Array.from({ length: 3_000 }, () => {
    const timer = createTimer(() => {
      const deadlineMs = deadlines.get(timer);
      fired++;
      if (deadlineMs === undefined) return void faults.push('fired though it was not armed');
      deadlines.delete(timer);
      if (clock.nowMs < deadlineMs) faults.push(`fired ${deadlineMs - clock.nowMs} ms early`);
      worstMs = Math.max(worstMs, clock.nowMs - deadlineMs);
      // Sessions that end arm, move and end each other's timers.
      if (random.below(3) === 0) armFor(timer);
      if (random.below(3) === 0) armFor(random.pick(timers));
      if (random.below(3) === 0) cancel(random.pick(timers));
    });
    return timer;
  });
  const cancel = (timer: Timer) => {
    wheel.cancel(timer);
    deadlines.delete(timer);
  };

  for (let round = 0; round < 20_000; round++) {
    for (let at = random.below(4); at > 0; at--) armFor(random.pick(timers));
    if (random.below(4) === 0) cancel(random.pick(timers));
    clock.nowMs += TICK_MS;
    wheel.advance();
    for (const deadlineMs of deadlines.values()) {
      if (deadlineMs + TICK_MS + ROUNDING_MS >= clock.nowMs || faults.length >= 5) continue;
      faults.push(`still armed ${clock.nowMs - deadlineMs} ms after its deadline`);
    }
    if (wheel.size !== deadlines.size) faults.push(`${wheel.size} armed and not ${deadlines.size}`);
    if (faults.length > 0) break;
  }
  t.comment(`SMTPLB_SEED=${seed}, ${fired} timers fired, the latest ${worstMs} ms after its deadline`);
  t.strictSame(faults, [], `seed ${seed}`);
  t.ok(fired > 5_000, 'enough of them fired to mean something');
  t.ok(worstMs <= TICK_MS + ROUNDING_MS, 'at most one tick late');
});

t.test(
  'wherever in a tick the wheel is driven, nothing is early and nothing more than a tick late',
  async t => {
    for (const phaseMs of [0, 0.5, 25, TICK_MS - 0.5]) {
      for (const delayMs of [0.5, 1, 49, 50, 51, 99.5, 1_000, TURN_MS, TURN_MS + 1]) {
        const { clock, wheel } = wheelAt(phaseMs);
        let firedAtMs = -1;
        const timer = createTimer(() => {
          firedAtMs = clock.nowMs;
        });
        wheel.arm(timer, delayMs);
        while (firedAtMs < 0 && clock.nowMs < delayMs + 10 * TICK_MS) {
          clock.nowMs += TICK_MS;
          wheel.advance();
        }
        const lateMs = firedAtMs - (phaseMs + delayMs);
        t.ok(lateMs >= 0 && lateMs <= TICK_MS, `${delayMs} ms at phase ${phaseMs}: ${lateMs} ms late`);
      }
    }
  },
);

t.test('a pause of any length leaves nothing behind, and fires nothing before its time', async t => {
  for (const pauseMs of [TICK_MS, TURN_MS - TICK_MS, TURN_MS, TURN_MS + TICK_MS, 7 * TURN_MS + 13]) {
    const { clock, wheel } = wheelAt(12_345);
    const fired: number[] = [];
    const delays = [0, 1, 49, 50, 1_000, TURN_MS - 1, TURN_MS, 2 * TURN_MS, 7 * TURN_MS, 20 * TURN_MS];
    for (const delayMs of delays)
      wheel.arm(
        createTimer(() => fired.push(delayMs)),
        delayMs,
      );
    clock.nowMs += pauseMs;
    wheel.advance();
    const due = delays.filter(delayMs => delayMs <= pauseMs);
    t.strictSame(
      fired.sort((a, b) => a - b),
      due,
      `after ${pauseMs} ms`,
    );
    t.equal(wheel.size, delays.length - due.length);
  }
});

t.test('a callback may move a timer that is due at the same moment', async t => {
  // A session that ends gives its slot to one that waits, and that one's queue timeout becomes a connect timeout.
  const { clock, wheel } = wheelAt(0);
  const fired: string[] = [];
  const waiting = createTimer(() => fired.push('waiting'));
  const ending = createTimer(() => {
    fired.push('ending');
    wheel.arm(waiting, 5_000);
  });
  const other = createTimer(() => fired.push('other'));
  wheel.arm(ending, 10);
  wheel.arm(waiting, 10);
  wheel.arm(other, 10);
  clock.nowMs = 2 * TICK_MS;
  wheel.advance();
  t.strictSame(fired, ['ending', 'other']);
  t.equal(wheel.size, 1);
  clock.nowMs = 6_000;
  wheel.advance();
  t.strictSame(fired, ['ending', 'other', 'waiting']);
  t.equal(wheel.size, 0);
});

t.test('a callback may cancel, one or all of those that are due with it', async t => {
  const { clock, wheel } = wheelAt(0);
  let fired = 0;
  const timers: Timer[] = Array.from({ length: 10 }, () =>
    createTimer(() => {
      fired++;
      for (const timer of timers) wheel.cancel(timer);
    }),
  );
  for (const timer of timers) wheel.arm(timer, 10);
  clock.nowMs = 1_000;
  wheel.advance();
  t.equal(fired, 1);
  t.equal(wheel.size, 0);
});

t.test('a callback that arms its timer again for now, or for the past, is called once a tick', async t => {
  for (const delayMs of [0, -1_000]) {
    const { clock, wheel } = wheelAt(0);
    let fired = 0;
    const timer = createTimer(() => {
      if (++fired > 100) throw new Error('an advance without end');
      wheel.arm(timer, delayMs);
    });
    wheel.arm(timer, delayMs);
    for (let tick = 1; tick <= 5; tick++) {
      clock.nowMs = tick * TICK_MS;
      wheel.advance();
      t.equal(fired, tick);
    }
  }
});

t.test('a callback that throws does not take the others with it', async t => {
  const { clock, wheel } = wheelAt(0);
  const fired: string[] = [];
  wheel.arm(
    createTimer(() => {
      throw new Error('a fault of the program');
    }),
    10,
  );
  wheel.arm(
    createTimer(() => fired.push('other')),
    10,
  );
  clock.nowMs = TICK_MS;
  t.throws(() => wheel.advance(), { message: 'a fault of the program' });
  clock.nowMs = 2 * TICK_MS;
  wheel.advance();
  t.strictSame(fired, ['other']);
  t.equal(wheel.size, 0);
});

t.test('cancelling twice, or what was never armed, changes nothing; arming again moves', async t => {
  const { clock, wheel } = wheelAt(0);
  let fired = 0;
  const timer = createTimer(() => fired++);
  wheel.cancel(timer);
  wheel.arm(timer, 100);
  wheel.arm(timer, 1_000);
  t.equal(wheel.size, 1);
  clock.nowMs = 500;
  wheel.advance();
  t.equal(fired, 0);
  wheel.cancel(timer);
  wheel.cancel(timer);
  t.equal(wheel.size, 0);
  clock.nowMs = 2_000;
  wheel.advance();
  t.equal(fired, 0);
  t.equal(wheel.coarseNowMs, 2_000);
});
