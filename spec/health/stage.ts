/** A world for the monitor in which time and probes do what the test says. */
import { createMonitor, type Monitor } from '../../lib/health/monitor.ts';
import type { CheckedBackend } from '../../lib/health/options.ts';
import { type Outcome, verdict } from '../../lib/health/outcome.ts';
import type { ProbeResult } from '../../lib/health/probe.ts';

export interface StagedProbe {
  readonly backend: CheckedBackend;
  readonly atMs: number;
  /** Gives its result, and with it its end, unless `closeLater`. */
  answer(outcome: Outcome, more?: { readonly closeLater?: boolean; readonly days?: number }): Promise<void>;
  close(): Promise<void>;
  readonly cancelled: boolean;
}

export interface Stage {
  readonly monitor: Monitor;
  /** All probes begun so far. */
  readonly probes: readonly StagedProbe[];
  /** `mx/b1 down`, in order. */
  readonly changes: readonly string[];
  readonly results: readonly string[];
  readonly nowMs: number;
  /** Timers that are set. */
  readonly timers: number;
  /** Probes that are on their way. */
  readonly open: number;
  /** Lets time pass, timer by timer. */
  pass(ms: number): Promise<void>;
  /** Passes time until the next probe begins, at most `ms`, and returns it. */
  next(ms?: number): Promise<StagedProbe>;
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

/** `random` is 0.5 unless given: no jitter, and first checks in the middle of their spread. */
export function stage(random: () => number = () => 0.5): Stage {
  let nowMs = 1_000_000;
  let open = 0;
  const timers = new Map<object, { readonly at: number; readonly callback: () => void }>();
  const probes: StagedProbe[] = [];
  const changes: string[] = [];
  const results: string[] = [];

  const probe = (backend: CheckedBackend) => {
    open++;
    let isCancelled = false;
    let isOpen = true;
    let give: (result: ProbeResult | null) => void = () => {};
    let end = (): void => {};
    const result = new Promise<ProbeResult | null>(resolve => {
      give = resolve;
    });
    const closed = new Promise<void>(resolve => {
      end = resolve;
    });
    const close = (): Promise<void> => {
      if (isOpen) open--;
      isOpen = false;
      end();
      return turn();
    };
    probes.push({
      backend,
      atMs: nowMs,
      async answer(outcome, { closeLater = false, days } = {}) {
        give({ ...verdict(outcome, `it is ${outcome}`), certificateDaysLeft: days ?? null, durationMs: 12 });
        await (closeLater ? turn() : close());
      },
      close,
      get cancelled() {
        return isCancelled;
      },
    });
    const cancel = (): void => {
      isCancelled = true;
      give(null);
    };
    return { result, closed, cancel };
  };

  const due = (untilMs: number) =>
    [...timers].filter(([, { at }]) => at <= untilMs).sort(([, one], [, other]) => one.at - other.at)[0];

  const fire = async (untilMs: number): Promise<boolean> => {
    const first = due(untilMs);
    if (first === undefined) return false;
    timers.delete(first[0]);
    nowMs = Math.max(nowMs, first[1].at);
    first[1].callback();
    await turn();
    return true;
  };

  return {
    monitor: createMonitor({
      now: () => nowMs,
      random,
      probe,
      schedule(callback, delayMs) {
        const key = {};
        timers.set(key, { at: nowMs + delayMs, callback });
        return () => timers.delete(key);
      },
      onChange: (pool, backend, { health }) => changes.push(`${pool}/${backend} ${health}`),
      onResult: (pool, backend, { outcome }) => results.push(`${pool}/${backend} ${outcome}`),
    }),
    probes,
    changes,
    results,
    get nowMs() {
      return nowMs;
    },
    get timers() {
      return timers.size;
    },
    get open() {
      return open;
    },
    async pass(ms) {
      const end = nowMs + ms;
      while (await fire(end)) {
        // One timer after the other.
      }
      nowMs = end;
    },
    async next(ms = 3_600_000) {
      const [count, end] = [probes.length, nowMs + ms];
      while (probes.length === count) {
        if (!(await fire(end))) throw new Error(`no check within ${ms} ms`);
      }
      return probes[count] as StagedProbe;
    },
  };
}
