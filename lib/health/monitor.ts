import { isDeepStrictEqual } from 'node:util';
import { monotonicMs } from '../core/clock.ts';
import type { BackendHealth, CheckEnvironment } from './backend-check.ts';
import type { CheckedBackend } from './options.ts';
import { type ProbeResult, startProbe } from './probe.ts';
import type { CheckCounts } from './results.ts';
import { type SharedCheck, startSharedCheck } from './shared-check.ts';
import { type CheckSharing, checkedId, type Finding } from './sharing.ts';

/** The active checks of an instance. Health is kept apart from what operators say, and from passive health. */
export interface Monitor {
  /**
   * What is to be checked from now on; `check.type` none is left out. A backend that is checked in the same way at the
   * same place keeps its state and its counts, also where interval, rise, fall and the like have changed; any other
   * begins anew, up and without a result, and `onChange` is not called for that.
   */
  update(backends: readonly CheckedBackend[]): void;
  /**
   * Sessions failed there: check soon, and again while that fails, until the backend is down or proves to be well; never
   * more often than once a second. Unknown backends are ignored.
   */
  recheck(pool: string, backend: string): void;
  /** Up and not `checked` where there are no checks. */
  of(pool: string, backend: string): BackendHealth;
  /** All that are checked. */
  all(): (BackendHealth & { readonly pool: string; readonly backend: string })[];
  /** Counts for metrics, of all that are checked. */
  results(): CheckCounts[];
  /** What this instance may check with others, by `pool/backend`, and what its own checks have found. */
  findings(): ReadonlyMap<string, Finding | null>;
  /** Who checks what has changed, or what the others have found. */
  settle(): void;
  /** Ends all checks; resolves when no timer and no socket is left. Nothing is reported after this call. */
  stop(): Promise<void>;
}

export interface MonitorOptions extends Partial<CheckEnvironment> {
  /** A backend went up or down. */
  onChange(pool: string, backend: string, health: BackendHealth): void;
  /** The other instances of the cluster, where there are any; asked for once by each check. */
  readonly sharing?: () => CheckSharing | null;
  /** A check was made, changed or not; called before `onChange`. */
  onResult?(pool: string, backend: string, result: ProbeResult): void;
}

const AFTER_TIMEOUT: CheckEnvironment['schedule'] = (callback, delayMs) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};

/** No checks until `update`. All time is monotonic: a step of the wall clock changes nothing. */
export function createMonitor(options: MonitorOptions): Monitor {
  const environment: CheckEnvironment = {
    now: options.now ?? monotonicMs,
    random: options.random ?? Math.random,
    schedule: options.schedule ?? AFTER_TIMEOUT,
    probe: options.probe ?? startProbe,
  };
  const pools = new Map<string, Map<string, SharedCheck>>();
  /** Checks that were ended and whose sockets may still be closing. */
  const ending = new Set<Promise<void>>();
  let stopped = false;

  const each = (): SharedCheck[] => [...pools.values()].flatMap(backends => [...backends.values()]);

  const end = (check: SharedCheck): void => {
    const { pool, backend } = check.options;
    pools.get(pool)?.delete(backend);
    const over = check.stop().finally(() => ending.delete(over));
    ending.add(over);
  };

  const begin = (checked: CheckedBackend): void => {
    const { pool, backend } = checked;
    const check = startSharedCheck(checked, environment, options.sharing?.() ?? null, {
      onResult: result => options.onResult?.(pool, backend, result),
      onChange: health => options.onChange(pool, backend, health),
    });
    const backends = pools.get(pool) ?? new Map<string, SharedCheck>();
    pools.set(pool, backends.set(backend, check));
  };

  return {
    update(backends) {
      if (stopped) return;
      const wanted = backends.filter(({ check }) => check.type !== 'none');
      const kept = new Set<SharedCheck>();
      for (const checked of wanted) {
        const known = pools.get(checked.pool)?.get(checked.backend);
        if (known === undefined || !isSamePlace(known.options, checked)) continue;
        known.change(checked);
        kept.add(known);
      }
      for (const check of each()) if (!kept.has(check)) end(check);
      for (const checked of wanted) {
        if (pools.get(checked.pool)?.has(checked.backend) !== true) begin(checked);
      }
    },
    recheck: (pool, backend) => pools.get(pool)?.get(backend)?.recheck(),
    of: (pool, backend) => pools.get(pool)?.get(backend)?.health() ?? UNCHECKED,
    all: () =>
      each().map(check => {
        const { pool, backend } = check.options;
        return { pool, backend, ...check.health() };
      }),
    results: () =>
      each().map(check => {
        const { pool, backend } = check.options;
        return { pool, backend, ...check.counter.read() };
      }),
    findings: () =>
      new Map(
        each()
          .filter(({ options }) => options.check.instances !== undefined)
          .map(check => [checkedId(check.options), check.own()]),
      ),
    settle() {
      for (const check of each()) check.settle();
    },
    async stop() {
      stopped = true;
      for (const check of each()) end(check);
      await Promise.all(ending);
    },
  };
}

const UNCHECKED: BackendHealth = {
  health: 'up',
  checked: false,
  outcome: null,
  detail: '',
  durationMs: 0,
  atMs: null,
  consecutive: 0,
  sinceMs: 0,
  certificateDaysLeft: null,
  checkers: null,
  isCheckedHere: false,
};

function isSamePlace(one: CheckedBackend, other: CheckedBackend): boolean {
  return (
    one.check.type === other.check.type &&
    one.identity === other.identity &&
    isDeepStrictEqual(one.address, other.address)
  );
}
