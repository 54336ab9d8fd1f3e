import { giveBack, take } from '../core/board.ts';
import { FAULTS, type FaultCode } from '../core/fault.ts';
import type { ShardStats } from '../core/shard-stats.ts';
import { recordFailure, recordSuccess, standing } from '../pool/passive-health.ts';
import { recordReturn } from '../pool/slow-start.ts';
import type { BackendSnapshot, PoolSnapshot } from '../pool/snapshot.ts';
import {
  type Algorithm,
  type BalancerView,
  choose,
  type NoBackend,
  type SelectRequest,
} from './candidates.ts';
import { leastConnections } from './least-connections.ts';
import { roundRobin } from './round-robin.ts';
import { sourceHash } from './source-hash.ts';
import { sticky } from './sticky.ts';

/**
 * A session in the queue. Offered a backend whose slot is taken for it, or told that none serves any more. What it has
 * tried does not change while it waits.
 */
export interface Waiter extends SelectRequest {
  onOffer(outcome: BackendSnapshot | 'none'): void;
}

/**
 * What the control plane is told of passive health: a session failed where the one before had not, the backend is
 * left alone, or it is back. And of what sessions met before their greeting: TLS is left out where it `may`, and whether
 * XCLIENT is offered, where that has changed, or where it must not be.
 */
export interface BackendEvent {
  readonly pool: string;
  readonly backend: string;
  readonly event:
    | 'suspected'
    | 'ejected'
    | 'returned'
    | 'plaintext'
    | 'xclient-missing'
    | 'xclient-offered'
    | 'xclient-exposed';
  /** Why it was ejected, and for how long. */
  readonly fault?: FaultCode;
  /** What was seen, where that says more; safe to show. */
  readonly detail?: string;
  readonly pauseMs?: number;
}

export interface BalancerOptions extends BalancerView {
  readonly stats: ShardStats;
  readonly onBackendEvent: (event: BackendEvent) => void;
}

/**
 * One pool as one shard sees it: answers which backend a session gets, holds the queue of those that wait, and
 * keeps passive health. Every backend it hands out has had a slot taken, which `release` gives back.
 */
export class Balancer {
  #pool: PoolSnapshot;
  #algorithm: Algorithm;
  readonly #options: BalancerOptions;
  readonly #queue = new Set<Waiter>();
  /** Those of the queue who have tried nothing yet: while one of them waits, nothing is free for anybody. */
  #untriedWaiting = 0;

  constructor(pool: PoolSnapshot, options: BalancerOptions) {
    this.#pool = pool;
    this.#options = options;
    this.#algorithm = algorithmOf(pool, options);
  }

  get pool(): PoolSnapshot {
    return this.#pool;
  }

  /** Sessions of this shard that wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** A new snapshot of the same pool. Sessions keep the backends they have; who waits is looked at again. */
  update(pool: PoolSnapshot): void {
    if (pool.balance !== this.#pool.balance) this.#algorithm = algorithmOf(pool, this.#options);
    this.#pool = pool;
    this.serveQueue();
  }

  /**
   * A backend with its slot taken, or why there is none. Nobody overtakes those who wait, but for backends that those
   * have tried in vain.
   */
  select(request: SelectRequest): BackendSnapshot | NoBackend {
    if (this.#untriedWaiting > 0) return 'full';
    return this.#choose(request);
  }

  /** The backend of that name, where it takes sessions, room or not; null where it does not, or there is none. */
  serving(name: string): BackendSnapshot | null {
    const { board, now } = this.#options;
    const backend = this.#pool.backends.find(each => each.name === name);
    if (backend === undefined || backend.health !== 'up' || backend.admin !== 'ready') return null;
    return standing(board, backend.row, now()) === 'ejected' ? null : backend;
  }

  /** Joins the queue; false where it is full. The offer comes later, never within this call. */
  wait(waiter: Waiter): boolean {
    if (!take(this.#options.board.poolQueued, this.#pool.row, this.#pool.queue.size)) return false;
    this.#queue.add(waiter);
    if (isUntried(waiter)) this.#untriedWaiting++;
    return true;
  }

  /** Leaves the queue; nothing happens where the waiter is not in it. */
  leave(waiter: Waiter): void {
    if (!this.#queue.delete(waiter)) return;
    if (isUntried(waiter)) this.#untriedWaiting--;
    giveBack(this.#options.board.poolQueued, this.#pool.row);
  }

  /** Gives a slot back and serves who waits for one. */
  release(backend: BackendSnapshot): void {
    giveBack(this.#options.board.backendSlots, backend.row);
    if (this.#queue.size > 0) this.serveQueue();
  }

  /** Offers backends to the queue, first come first served, while there are any. Called once a tick, too. */
  serveQueue(): void {
    for (const waiter of this.#queue) {
      const outcome = this.#choose(waiter);
      if (outcome === 'full') {
        if (isUntried(waiter)) return;
        continue; // what is free is what this one has tried; the next may want it
      }
      this.leave(waiter);
      waiter.onOffer(outcome);
    }
  }

  /** The backend greeted. */
  succeeded(backend: BackendSnapshot): void {
    const { board, now } = this.#options;
    if (!recordSuccess(board, backend.row)) return;
    recordReturn(board, backend.row, now());
    this.report(backend, { event: 'returned' });
  }

  /** The backend, given out at `pickedAtMs`, failed a session before it was committed to. */
  failed(backend: BackendSnapshot, fault: FaultCode, pickedAtMs: number, detail?: string): void {
    const { board, stats, now } = this.#options;
    stats.backends.add(backend.row, fault);
    if (!FAULTS[fault].blamesBackend) return;
    const why = detail === undefined ? {} : { detail };
    const pauseMs = recordFailure(board, backend.row, pickedAtMs, now(), this.#pool.passiveHealth);
    if (Atomics.load(board.backendFailures, backend.row) === 1)
      this.report(backend, { event: 'suspected', fault, ...why });
    if (pauseMs === 0) return;
    stats.backends.add(backend.row, 'ejections');
    this.report(backend, { event: 'ejected', fault, pauseMs, ...why });
  }

  #choose(request: SelectRequest): BackendSnapshot | NoBackend {
    const outcome = choose(this.#pool, request, this.#options, this.#algorithm);
    if (typeof outcome === 'object') this.#options.stats.backends.add(outcome.row, 'picks');
    return outcome;
  }

  /** Tells the control plane. */
  report(backend: BackendSnapshot, event: Omit<BackendEvent, 'pool' | 'backend'>): void {
    this.#options.onBackendEvent({ pool: this.#pool.name, backend: backend.name, ...event });
  }
}

function isUntried({ triedRows }: SelectRequest): boolean {
  return triedRows.length === 0;
}

function algorithmOf(pool: PoolSnapshot, view: BalancerView): Algorithm {
  switch (pool.balance) {
    case 'least-connections':
      return sticky(leastConnections(view));
    case 'round-robin':
      return sticky(roundRobin());
    case 'source-hash':
      return sticky(sourceHash());
  }
}
