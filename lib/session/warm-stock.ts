import type { Balancer } from '../balancer/balancer.ts';
import { standing } from '../pool/passive-health.ts';
import type { BackendSnapshot, PoolSnapshot } from '../pool/snapshot.ts';
import type { Connection } from '../transport/contract.ts';
import type { Prepared } from './backend-preparation.ts';
import { type WarmContext, WarmShelf } from './warm-shelf.ts';

/** A pool as it will be from now on, and its balancer. */
export interface WarmPool {
  readonly pool: PoolSnapshot;
  readonly balancer: Balancer;
}

/** A connection that has greeted, and what came of that. */
export interface Warm {
  readonly connection: Connection;
  readonly prepared: Prepared;
}

/** What sessions see of the stock. */
export interface WarmSource {
  /** One that has greeted, the session's from now on; null where there is none. */
  take(balancer: Balancer, backend: BackendSnapshot): Warm | null;
  /** What was taken had died before the session's first word. */
  died(balancer: Balancer, backend: BackendSnapshot): void;
}

/**
 * Connections to backends that are opened ahead of clients (`warm`), of one shard: dialled, TLS done, the greeting read and
 * held, EHLO said where XCLIENT comes next. A session whose backend has one is greeted at once, and one that finds none
 * dials as ever.
 *
 * - The balancer does not know of them: they hold no slot, and only a session's choice of a backend brings one into use.
 *   They are connections at the backend all the same, so there are never more than `maxConnections` (or what the cluster
 *   grants) leaves room for beside the sessions, to within a tick and the moment that leaving takes; nor more than `warm`
 *   says, over all shards.
 * - They are kept to backends that a session could be given now: up, ready, trusted; to backups only while no other backend
 *   of the pool is. Whoever is not any more has his let go within a tick, and what sessions took is replaced then.
 * - They are not worth a session: where file descriptors run short they are let go.
 * - One that dies while it waits is not given to anybody. One that dies between its greeting, which the client has heard, and
 *   the client's first command ends the session, as with any backend that dies then. So they are renewed well before a
 *   backend would tire of them.
 */
export class WarmStock implements WarmSource {
  readonly #shared: Omit<WarmContext, 'balancer' | 'hostName'>;
  #hostName = '';
  #pools: readonly WarmPool[] = [];
  /** By row. */
  #shelves = new Map<number, WarmShelf>();
  /** Of backends that are gone; until their last connections are. */
  #retired: WarmShelf[] = [];
  #isClosed = false;

  constructor(shared: Omit<WarmContext, 'balancer' | 'hostName'>) {
    this.#shared = shared;
  }

  /** What is to be kept from now on; to be told before the balancers are. What does not fit it is let go at once. */
  update(pools: readonly WarmPool[], hostName: string): void {
    // Snapshots go on coming while the last sessions are served.
    if (this.#isClosed) return;
    this.#hostName = hostName;
    this.#pools = pools.filter(({ pool }) => pool.warm !== undefined);
    const before = this.#shelves;
    this.#shelves = new Map();
    for (const { pool, balancer } of this.#pools) {
      const { identity, source, tls, xclientRequired } = pool;
      const common = JSON.stringify([hostName, identity, xclientRequired, source, tls]);
      for (const backend of pool.backends) {
        const known = before.get(backend.row);
        const shelf = known?.balancer === balancer ? known : this.#shelfOf(backend, balancer);
        if (shelf === known) before.delete(backend.row);
        shelf.update(backend, JSON.stringify([backend.address, backend.tlsName, common]));
        this.#shelves.set(backend.row, shelf);
        if (shelf.size > 0) shelf.trim(this.#wanted(pool, backend));
      }
    }
    for (const shelf of before.values()) shelf.clear();
    this.#retired = [...this.#retired, ...before.values()].filter(shelf => !shelf.isIdle);
  }

  take(balancer: Balancer, backend: BackendSnapshot): Warm | null {
    const shelf = this.#shelves.get(backend.row);
    return shelf?.isOf(balancer, backend) === true ? shelf.take() : null;
  }

  died(balancer: Balancer, backend: BackendSnapshot): void {
    const shelf = this.#shelves.get(backend.row);
    if (shelf?.isOf(balancer, backend) === true) shelf.died();
  }

  /** Opens what is missing, and lets go what is too much. Called once a tick. */
  tend(): void {
    for (const { pool } of this.#pools) {
      for (const backend of pool.backends) this.#shelves.get(backend.row)?.tend(this.#wanted(pool, backend));
    }
  }

  /** Lets all go, for good; resolves when they are closed, which has a bound. */
  async close(): Promise<void> {
    const shelves = [...this.#shelves.values(), ...this.#retired];
    this.#isClosed = true;
    this.#pools = [];
    this.#shelves = new Map();
    this.#retired = shelves;
    for (const shelf of shelves) shelf.clear();
    await Promise.all(shelves.map(shelf => shelf.idle()));
  }

  #wanted(pool: PoolSnapshot, backend: BackendSnapshot): number {
    const isNeeded = !backend.backup || !pool.backends.some(each => !each.backup && this.#serves(each));
    return isNeeded && this.#serves(backend) ? (pool.warm?.size ?? 0) : 0;
  }

  #serves({ admin, health, row }: BackendSnapshot): boolean {
    const { board, wheel } = this.#shared;
    return health === 'up' && admin === 'ready' && standing(board, row, wheel.now()) === 'trusted';
  }

  #shelfOf(backend: BackendSnapshot, balancer: Balancer): WarmShelf {
    const hostName = (): string => this.#hostName;
    return new WarmShelf(backend, {
      ...this.#shared,
      balancer,
      get hostName() {
        return hostName();
      },
    });
  }
}
