import type { MonotonicMs } from '../core/clock.ts';
import type { Health } from '../pool/snapshot.ts';
import type { CheckedBackend } from './options.ts';
import { OUTCOMES, type Outcome } from './outcome.ts';
import type { Probe, ProbeResult } from './probe.ts';
import { type CheckCounter, createCheckCounter } from './results.ts';
import { judge, taken, untested } from './rise-fall.ts';

/** What checks say of a backend. */
export interface BackendHealth {
  readonly health: Health;
  /** Whether there are checks; without them a backend is up. */
  readonly checked: boolean;
  /** The last result; null before the first. */
  readonly outcome: Outcome | null;
  /** What the last check saw, as a sentence; empty before the first. */
  readonly detail: string;
  /** Milliseconds from dialling to the verdict of the last check. */
  readonly durationMs: number;
  /** Monotonic milliseconds of the last result; null before the first. */
  readonly atMs: number | null;
  /** Good or bad results in a row, the last one included. */
  readonly consecutive: number;
  /** Monotonic milliseconds of the last change between up and down, or of the beginning. */
  readonly sinceMs: number;
  /** As the last check that saw a certificate has it: whole days, negative once it has expired. */
  readonly certificateDaysLeft: number | null;
  /** The names of the instances that check it; null where that is this one, by itself. */
  readonly checkers: readonly string[] | null;
  /** Whether this instance checks it, alone or with others. */
  readonly isCheckedHere: boolean;
}

/** What checks need of the world; tests give their own. */
export interface CheckEnvironment {
  readonly now: MonotonicMs;
  /** From 0 to just below 1. */
  readonly random: () => number;
  /** Calls back once after `delayMs`; returns what calls that off. */
  readonly schedule: (callback: () => void, delayMs: number) => () => void;
  readonly probe: (backend: CheckedBackend) => Probe;
}

/** The checks of one backend: one at a time, again and again until stopped. */
export interface BackendCheck {
  readonly options: CheckedBackend;
  /** Other options for the same place, from the next check on; state and counts stay. */
  change(options: CheckedBackend): void;
  readonly counter: CheckCounter;
  health(): BackendHealth;
  /** Checks soon, and goes on so while the results are bad, until the backend is known to be down. */
  recheck(): void;
  /** No more checks, and no result, until `resume`. */
  rest(): void;
  /** Checks again, soon; until there is a result the backend is what others have found. */
  resume(health: Health): void;
  /** No result is reported after this call; resolves when no socket is left. */
  stop(): Promise<void>;
}

/** Milliseconds over which first checks are spread, at most: all backends are known soon after a start. */
const FIRST_SPREAD_MS = 2_000;
/** The least from the beginning of one check to that of the next which passive failures ask for. */
const RECHECK_MS = 1_000;
/** Intervals differ by up to this part either way, so that checks of many backends and instances drift apart. */
const JITTER = 0.1;

export function startBackendCheck(
  first: CheckedBackend,
  environment: CheckEnvironment,
  onResult: (health: BackendHealth, changed: boolean, result: ProbeResult) => void,
): BackendCheck {
  const { now, random, schedule, probe } = environment;
  const counter = createCheckCounter();
  let options = first;
  let standing = untested(first.check.fall);
  let last: ProbeResult | null = null;
  let atMs: number | null = null;
  let sinceMs = now();
  let certificateDaysLeft: number | null = null;

  let running: Probe | null = null;
  let ended: Promise<void> = Promise.resolve();
  let startedAt = Number.NEGATIVE_INFINITY;
  let dueAt = Number.POSITIVE_INFINITY;
  let callOff = (): void => {};
  /** Sessions failed there, and checks have neither denied nor confirmed it yet. */
  let suspected = false;
  let stopped = false;
  let resting = false;

  const plan = (at: number): void => {
    callOff();
    dueAt = at;
    callOff = schedule(begin, Math.max(0, at - now()));
  };

  const begin = (): void => {
    const { intervalMs } = options.check;
    startedAt = now();
    dueAt = startedAt + intervalMs * (1 + JITTER * (2 * random() - 1));
    running = probe(options);
    ended = finish(running);
  };

  const finish = async ({ result, closed }: Probe): Promise<void> => {
    const found = await result;
    if (found !== null && !stopped && !resting) apply(found);
    await closed;
    running = null;
    if (!stopped && !resting) plan(dueAt);
  };

  const apply = (result: ProbeResult): void => {
    const { rise, fall } = options.check;
    const { success, blamesBackend } = OUTCOMES[result.outcome];
    const before = standing.health;
    if (success || blamesBackend) standing = judge(standing, success, rise, fall);
    last = result;
    atMs = now();
    certificateDaysLeft = result.certificateDaysLeft ?? certificateDaysLeft;
    counter.count(result.outcome, result.durationMs);
    const changed = standing.health !== before;
    if (changed) sinceMs = atMs;
    suspected &&= blamesBackend && standing.health === 'up';
    if (suspected) dueAt = Math.min(dueAt, startedAt + RECHECK_MS);
    onResult(check.health(), changed, result);
  };

  const check: BackendCheck = {
    get options() {
      return options;
    },
    change(next) {
      options = next;
      const at = now() + next.check.intervalMs;
      if (resting) return;
      if (running === null && at < dueAt) plan(at);
      else dueAt = Math.min(at, dueAt);
    },
    counter,
    health: () => ({
      health: standing.health,
      checked: true,
      outcome: last?.outcome ?? null,
      detail: last?.detail ?? '',
      durationMs: last?.durationMs ?? 0,
      atMs,
      consecutive: standing.consecutive,
      sinceMs,
      certificateDaysLeft,
      checkers: null,
      isCheckedHere: true,
    }),
    recheck() {
      const at = Math.max(now(), startedAt + RECHECK_MS);
      suspected = standing.health === 'up';
      if (stopped || resting || at >= dueAt) return;
      if (running === null) plan(at);
      else dueAt = at;
    },
    rest() {
      resting = true;
      suspected = false;
      callOff();
      running?.cancel();
    },
    resume(health) {
      resting = false;
      standing = taken(health);
      last = null;
      // Soon, as its checker may be gone, and not all of them at once.
      const at = now() + random() * Math.min(options.check.intervalMs, FIRST_SPREAD_MS);
      if (running === null) plan(at);
      else dueAt = at;
    },
    async stop() {
      stopped = true;
      callOff();
      running?.cancel();
      await ended;
    },
  };
  plan(now() + random() * Math.min(options.check.intervalMs, FIRST_SPREAD_MS));
  return check;
}
