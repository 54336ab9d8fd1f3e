import type { Balancer } from '../balancer/balancer.ts';
import type { ShardStats } from '../core/shard-stats.ts';
import { Timer, type TimerOwner, type TimerWheel } from '../core/timer-wheel.ts';
import type { BackendSnapshot, StickyOptions } from '../pool/snapshot.ts';
import type { SessionContext } from './context.ts';
import type { SearchOwner } from './search-owner.ts';
import type { Recalled, StickyFound, StickyMemory } from './sticky.ts';
import { stickyKey } from './sticky-key.ts';

interface StickyClientOptions {
  readonly key: string;
  readonly sticky: StickyOptions;
  readonly balancer: Balancer;
  readonly memory: StickyMemory;
  readonly stats: ShardStats;
  readonly wheel: TimerWheel;
  /** Runs a callback that comes from elsewhere; see Session. */
  readonly guard: (call: () => void) => void;
}

const NO_ANSWER: Recalled = { backend: null, found: 'timeout', gone: null };

/** A pool's memory of one session's client: asked before a backend is chosen, told when one has greeted. */
export class StickyClient implements TimerOwner {
  readonly key: string;
  /** The backend that is remembered. */
  backend: string | null = null;
  found: StickyFound | null = null;
  readonly #options: StickyClientOptions;
  /** The memory keeps the deadline itself; this is for one that hangs. */
  readonly #timer = new Timer(this);
  #gone: string | null = null;
  #next: (() => void) | null = null;
  #callOff: () => void = () => {};

  constructor(options: StickyClientOptions) {
    this.key = options.key;
    this.#options = options;
  }

  /** Asks what is remembered, once; `next` is called when that is known, perhaps within this call. */
  recall(next: () => void): void {
    const { balancer, guard, memory, sticky, wheel } = this.#options;
    const { timeoutMs } = sticky;
    this.#next = next;
    const question = { pool: balancer.pool.name, key: this.key, timeoutMs };
    const serves = (backend: string) => {
      const isServing = balancer.serving(backend) !== null;
      // Known at once, whether or not an answer comes in time: it is given up by the claim.
      if (!isServing) this.#gone = backend;
      return isServing;
    };
    let isNow = true;
    const callOff = memory.recall(question, serves, recalled => {
      if (isNow) this.#answered(recalled);
      else guard(() => this.#answered(recalled));
    });
    isNow = false;
    if (this.found !== null) return;
    this.#callOff = callOff;
    wheel.arm(this.#timer, timeoutMs);
  }

  onTimeout(): void {
    this.#options.guard(() => this.#answered(NO_ANSWER));
  }

  /** The session is over, or on its way: no answer is of use any more. */
  close(): void {
    this.#next = null;
    this.#options.wheel.cancel(this.#timer);
    this.#callOff();
    this.#callOff = () => {};
  }

  /** The session is its client's from now on, and the client the backend's. `triedRows`: what has failed it before. */
  greetedBy(chosen: BackendSnapshot, triedRows: readonly number[]): void {
    const { balancer, memory, sticky, stats } = this.#options;
    const { name: pool, row } = balancer.pool;
    const before = this.backend ?? this.#gone;
    if (before !== null && before !== chosen.name) {
      stats.pools.add(row, 'stickyMoved');
      const remembered = balancer.serving(before);
      // It was full, or another was due for a trial: this session has gone elsewhere, its client's next need not.
      if (remembered !== null && remembered.backup === chosen.backup && !triedRows.includes(remembered.row))
        return;
    }
    const claim = { pool, key: this.key, backend: chosen.name, insteadOf: before, ttlMs: sticky.ttlMs };
    memory.claim(claim, () => stats.pools.add(row, 'stickyLost'));
  }

  #answered({ backend, found, gone }: Recalled): void {
    const { balancer, stats } = this.#options;
    if (this.found !== null) return;
    const serves = backend !== null && balancer.serving(backend) !== null;
    this.backend = backend;
    this.#gone = gone ?? this.#gone;
    this.found = serves || found === 'timeout' ? found : 'hash';
    stats.pools.add(balancer.pool.row, `sticky/${this.found}`);
    const next = this.#next;
    this.close();
    next?.();
  }
}

/** Null where the pool is not sticky, or nothing is known to remember this client by. */
export function stickyClient(context: SessionContext, owner: SearchOwner): StickyClient | null {
  const { balancer, stats, sticky: memory, wheel } = context;
  const { sticky } = balancer.pool;
  if (sticky === undefined) return null;
  const key = stickyKey(sticky, owner.who);
  if (key === null) return null;
  return new StickyClient({ key, sticky, balancer, memory, stats, wheel, guard: call => owner.guard(call) });
}
