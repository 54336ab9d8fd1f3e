import type { PoolSnapshot } from '../../lib/pool/snapshot.ts';
import { createExchange } from './exchange.ts';
import { createInstance, type Instance, type Report } from './instance.ts';
import { simulatedPool } from './pool.ts';
import { type Chance, chanceFrom } from './random.ts';
import type { Scenario } from './scenario.ts';
import { createSpread, type Spread } from './spread.ts';
import type { Strategy } from './strategies.ts';

/** The world's clock goes in such steps. */
const STEP_MS = 10;
/** How often an instance looks whether it has something to say. */
const REPORT_EVERY_STEPS = 10;
const LEASE_MS = 3_000;
const SAMPLE_EVERY_STEPS = 10;

interface Session {
  readonly instance: number;
  readonly row: number;
  /** Counts how often the backend has failed: a session of before is over already. */
  readonly era: number;
}

/** Things that are due at a step. */
class Calendar<T> {
  readonly #due = new Map<number, T[]>();
  add(step: number, item: T): void {
    const there = this.#due.get(step);
    if (there === undefined) this.#due.set(step, [item]);
    else there.push(item);
  }
  take(step: number): readonly T[] {
    const due = this.#due.get(step) ?? [];
    this.#due.delete(step);
    return due;
  }
}

/** Runs a scenario from its first session to its end. The same seed gives the same figures. */
export function simulate(scenario: Scenario, strategy: Strategy, seed: number): Spread {
  const { backends, outage, durationMs } = scenario;
  const chance = chanceFrom(seed);
  const pools = {
    whole: simulatedPool(scenario, null),
    without: simulatedPool(scenario, 0),
  };
  const weights = pools.whole.backends.map(({ weight }) => weight);
  const spread = createSpread(weights);
  const ends = new Calendar<Session>();
  const mail = new Calendar<{ from: number; report: Report }>();
  const exchange = createExchange(backends);
  const loads = new Int32Array(backends);
  let step = 0;
  let era = 0;
  const now = () => 1 + step * STEP_MS;
  const at = (ms: number) => Math.max(Math.ceil(ms / STEP_MS), 1);

  const instances: Instance[] = [];
  const alive: number[] = [];
  const phases: number[] = [];
  const join = () => {
    alive.push(instances.length);
    phases.push(Math.floor(chance.unit() * REPORT_EVERY_STEPS));
    instances.push(createInstance(backends, strategy.algorithm, now, chance));
  };
  for (let count = 0; count < scenario.instances; count++) join();

  const arrive = (pool: PoolSnapshot) => {
    const target = alive[anyInstance(alive.length, scenario.favour, chance)] as number;
    const instance = instances[target] as Instance;
    if (strategy.omniscient) instance.hear(everything(instance));
    else instance.hear(exchange.othersOf(target));
    const row = instance.pick(pool);
    if (row < 0) return;
    loads[row] = (loads[row] as number) + 1;
    ends.add(step + at(chance.length(scenario.lengths, scenario.sessionMs)), {
      instance: target,
      row,
      era: row === 0 ? era : 0,
    });
  };
  const zero = new Float64Array(backends);
  const everything = (instance: Instance): Report => ({
    sessions: loads.map((load, row) => load - (instance.sessions[row] as number)),
    sessionsPerSecond: zero,
    atMs: now(),
  });

  const dead = new Set<number>();
  for (; step * STEP_MS < durationMs; step++) {
    const ms = step * STEP_MS;
    const away = outage !== null && ms >= outage.fromMs && ms < outage.untilMs;
    const pool = away ? pools.without : pools.whole;
    let again = 0;
    for (const session of ends.take(step)) {
      if (dead.has(session.instance) || (session.row === 0 && session.era !== era)) continue;
      (instances[session.instance] as Instance).release(session.row);
      loads[session.row] = (loads[session.row] as number) - 1;
    }
    if (outage !== null && ms === outage.fromMs) {
      again += loads[0] as number;
      era++;
      loads[0] = 0;
      for (const instance of instances) while ((instance.sessions[0] as number) > 0) instance.release(0);
    }
    if (ms === scenario.deathAtMs) {
      const lost = alive.pop() as number;
      dead.add(lost);
      const { sessions } = instances[lost] as Instance; // the ends of these are passed over
      for (let row = 0; row < backends; row++) {
        loads[row] = (loads[row] as number) - (sessions[row] as number);
        again += sessions[row] as number;
      }
    }
    if (scenario.deathAtMs !== null && ms === scenario.deathAtMs + LEASE_MS)
      for (const lost of dead) exchange.forget(lost);
    if (ms === scenario.birthAtMs) join();

    const arrivals = chance.poisson(ratePerMs(scenario, weights, ms) * STEP_MS) + again;
    for (let count = 0; count < arrivals; count++) arrive(pool);

    if (!strategy.omniscient) {
      for (const one of alive) {
        if ((step + (phases[one] as number)) % REPORT_EVERY_STEPS !== 0) continue;
        const report = (instances[one] as Instance).report();
        if (report === null) continue;
        const delayMs = scenario.delayMs * (1 + chance.unit() / 2);
        mail.add(step + at(delayMs), { from: one, report });
      }
      for (const { from, report } of mail.take(step)) if (!dead.has(from)) exchange.deliver(from, report);
    }
    if (ms >= scenario.warmMs && step % SAMPLE_EVERY_STEPS === 0) spread.sample(loads, away ? 0 : -1);
  }
  return spread.read();
}

/** The first instance is `favour` times as likely as each of the others. */
function anyInstance(count: number, favour: number, { unit }: Chance): number {
  const at = unit() * (count - 1 + favour);
  return at < favour ? 0 : Math.min(1 + Math.floor(at - favour), count - 1);
}

/** Arrivals a millisecond: as many as keep the loads where they are meant to be, but for bursts. */
function ratePerMs({ load, sessionMs, bursts }: Scenario, weights: readonly number[], ms: number): number {
  const rate = (load * weights.reduce((sum, weight) => sum + weight, 0)) / sessionMs;
  return bursts !== null && ms % bursts.everyMs < bursts.forMs ? rate * bursts.times : rate;
}
