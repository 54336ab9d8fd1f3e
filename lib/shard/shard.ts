import { createAdmission } from '../admission/admission.ts';
import { createDescriptorBudget } from '../admission/descriptor-budget.ts';
import { type BackendEvent, Balancer } from '../balancer/balancer.ts';
import type { Board } from '../core/board.ts';
import { Chain } from '../core/chain.ts';
import { cidrSet } from '../core/cidr.ts';
import type { ShardStats } from '../core/shard-stats.ts';
import { TICK_MS, TimerWheel } from '../core/timer-wheel.ts';
import type { PoolSnapshot } from '../pool/snapshot.ts';
import { termination } from '../session/client-tls.ts';
import type { SessionContext } from '../session/context.ts';
import { createPreparer } from '../session/preparation-plan.ts';
import type { SessionRecord, SessionView } from '../session/record.ts';
import { routed } from '../session/routing.ts';
import { Session } from '../session/session.ts';
import type { ListenerSnapshot } from '../session/snapshot.ts';
import { WarmStock } from '../session/warm-stock.ts';
import type { Transport } from '../transport/contract.ts';
import { createBatch } from './batch.ts';
import { createIds } from './ids.ts';
import { createListeningSockets } from './listening-sockets.ts';
import type { SessionFilter, ShardSnapshot } from './snapshot.ts';
import type { BoundSocket, SocketPlaces } from './sockets.ts';
import type { StickyKeeper } from './sticky-keeper.ts';
import { createStickyMemory } from './sticky-memory.ts';

export interface ShardOptions {
  /** This shard's number, from 0: its place in what all shards share. 0 unless given. */
  readonly number?: number;
  readonly board: Board;
  /** This shard's own; nobody else writes them. */
  readonly stats: ShardStats;
  readonly transport: Transport;
  /** Where sticky pools are remembered together with other shards and instances. */
  readonly keeper: StickyKeeper;
  /** Descriptors that the sessions of all shards may use together. */
  readonly descriptors: number;
  readonly onRecords: (records: readonly SessionRecord[]) => void;
  readonly onBackendEvent: (event: BackendEvent) => void;
  /** A fault of the program, which has ended one session. */
  readonly onError: (error: unknown) => void;
}

/** One thread's part of the data plane: its listeners, the sessions that came in through them, and the clock that drives both. */
export interface Shard {
  readonly bound: readonly BoundSocket[];
  /**
   * Makes ready for a snapshot: binds what is new. Rejects, with nothing changed, with a sentence that names the
   * address where one cannot be listened on. One at a time: the one before must be in use, or given up.
   */
  prepare(snapshot: ShardSnapshot, places: SocketPlaces): Promise<PreparedUpdate>;
  /** Pools that are in use already, with other health, admin states or weights. */
  publish(pools: readonly PoolSnapshot[]): void;
  /** The sessions that are not over, the oldest first. */
  views(filter: SessionFilter): SessionView[];
  /** Ends the sessions that a backend serves, and sends those that only dial it elsewhere. Returns how many it ended. */
  endSessions(pool: string, backend: string): number;
  /** Stops accepting; `handedOver` if a successor listens on the same sockets. */
  close(handedOver?: boolean): Promise<void>;
  /**
   * Stops accepting, refuses who waits, and resolves when the last session is over. `handedOver` if a successor
   * listens on the same sockets.
   */
  drain(handedOver?: boolean): Promise<void>;
  /** Ends the sessions that are left; `drain` then resolves. */
  cut(): void;
}

export interface PreparedUpdate {
  /** What the shard will listen on once it is in use. */
  readonly bound: readonly BoundSocket[];
  /** Puts the snapshot into use. Sessions keep what they began with; new ones see the new. Rejects where the shard drains. */
  commit(): Promise<void>;
  /** Gives it up: nothing has changed. */
  abort(): Promise<void>;
}

const BATCH_SIZE = 256;

/** Starts a shard. It listens nowhere until the first snapshot is in use. */
export function startShard(options: ShardOptions): Shard {
  const { board, stats, transport } = options;
  const wheel = new TimerWheel();
  const now = () => wheel.now();
  const sticky = createStickyMemory(options.keeper, now);
  const records = createBatch(BATCH_SIZE, options.onRecords);
  const descriptors = createDescriptorBudget(board, options.descriptors);
  const nextId = createIds();
  const preparer = createPreparer();
  const { onError } = options;
  const lent = { board, descriptors, onError, preparer, stats, transport, wheel };
  const warm = new WarmStock({ ...lent, random: Math.random });
  const sessions = new Chain<Session>();
  const balancerOptions = { board, stats, now, random: Math.random, onBackendEvent: options.onBackendEvent };
  let onIdle = (): void => {};

  /** A pool that is gone lives on in the sessions that began with it; slots given back there serve who waits. */
  let balancers = new Map<string, Balancer>();
  let contexts = new Map<string, SessionContext>();
  let hostName = '';

  const counted = (): void => {
    stats.signs.sessions = sessions.size;
  };

  /** Contexts of listeners that an update is about to bring: their sockets accept before it is done. */
  let staged = new Map<string, SessionContext>();
  /** And of those that it took away: who had connected by then is served as he would have been. */
  let leaving = new Map<string, SessionContext>();
  const sockets = createListeningSockets(transport, (listener, connection) => {
    const context = contexts.get(listener) ?? staged.get(listener) ?? leaving.get(listener);
    if (context === undefined) return connection.destroy(); // removed between accept and now
    const isPlain = context.tls === null || transport.securable === undefined;
    const session = new Session(context, isPlain ? connection : transport.securable(connection));
    sessions.add(session);
    counted();
    session.guard(() => session.begin());
  });

  const contextOf = (
    listener: ListenerSnapshot,
    balancer: Balancer,
    hostName: string,
    recorded: boolean,
  ): SessionContext => {
    return {
      listener,
      balancer,
      // A listener that stays knows its clients over a reload.
      admission:
        contexts.get(listener.name)?.admission ??
        createAdmission(listener.admission, listener.row, board, now, options.number),
      proxyFrom: cidrSet(listener.proxyFrom),
      descriptors,
      transport,
      preparer,
      warm,
      tls: listener.tls === null ? null : termination(listener.name, listener.tls),
      routing: null,
      wheel,
      sticky,
      stats,
      hostName,
      nextId,
      record: recorded ? records.add : null,
      onClosed(session) {
        sessions.remove(session);
        counted();
        if (sessions.size === 0) onIdle();
      },
      onError,
    };
  };

  /** Warm connections first: what a balancer hands out next must not meet one that was made for the snapshot before. */
  const put = (pools: readonly PoolSnapshot[]): void => {
    const known = pools.flatMap(pool => {
      const balancer = balancers.get(pool.name);
      return balancer === undefined ? [] : [{ pool, balancer }];
    });
    warm.update(known, hostName);
    for (const { pool, balancer } of known) balancer.update(pool);
  };

  const prepare = async (next: ShardSnapshot, places: SocketPlaces): Promise<PreparedUpdate> => {
    // First all that cannot fail and changes nothing, then the sockets, then the change itself, in one go.
    const nextBalancers = new Map(
      next.pools.map(pool => [pool.name, balancers.get(pool.name) ?? new Balancer(pool, balancerOptions)]),
    );
    const nextContexts = new Map(
      next.listeners.map(listener => {
        const balancerOf = (pool: string): Balancer => {
          const balancer = nextBalancers.get(pool);
          if (balancer === undefined)
            throw new Error(`listener ${listener.name} names no pool of the snapshot`);
          return balancer;
        };
        const context = contextOf(listener, balancerOf(listener.pool), next.hostName, next.records);
        return [listener.name, routed(context, balancerOf)];
      }),
    );
    staged = nextContexts;
    const unstage = (): void => {
      staged = new Map();
    };
    const prepared = await sockets.prepare(next.listeners, places).catch(error => {
      unstage();
      throw error;
    });
    return {
      bound: prepared.bound,
      async commit() {
        const committed = prepared.commit();
        unstage();
        balancers = nextBalancers;
        leaving = contexts;
        contexts = nextContexts;
        hostName = next.hostName;
        put(next.pools);
        for (const { name, admission } of next.listeners) contexts.get(name)?.admission.update(admission);
        await committed.finally(() => {
          leaving = new Map();
        });
      },
      async abort() {
        unstage();
        await prepared.abort();
      },
    };
  };

  let tickDueMs = wheel.now() + TICK_MS;
  const tick = (): void => {
    stats.signs.tickedAtMs = wheel.now();
    stats.loopLagSeconds.observe(0, Math.max(0, wheel.now() - tickDueMs) / 1_000);
    tickDueMs = wheel.now() + TICK_MS;
    wheel.advance();
    // A slot may have come free in another shard, a pause may be over: nobody else would tell those who wait.
    for (const balancer of balancers.values()) if (balancer.waiting > 0) balancer.serveQueue();
    warm.tend();
    sticky.flush();
    records.flush();
  };

  counted();
  stats.signs.tickedAtMs = wheel.now();
  const ticking = setInterval(tick, TICK_MS);

  return {
    get bound() {
      return sockets.bound;
    },
    prepare,
    publish: put,
    views({ pool, backend, limit }) {
      const found: SessionView[] = [];
      for (const session of sessions.all()) {
        if (found.length >= limit) break;
        const view = session.view();
        const wanted = pool === undefined || view.pool === pool;
        if (wanted && (backend === undefined || view.backend === backend)) found.push(view);
      }
      return found;
    },
    endSessions(pool, backend) {
      const served = sessions.all().filter(session => session.servedBy(pool, backend));
      let ended = 0;
      for (const session of served) {
        session.guard(() => {
          if (session.evict()) ended++;
        });
      }
      return ended;
    },
    close: sockets.close,
    async drain(handedOver) {
      await sockets.close(handedOver);
      const cold = warm.close();
      for (const session of sessions.all()) session.guard(() => session.drain());
      if (sessions.size > 0) {
        await new Promise<void>(resolve => {
          onIdle = resolve;
        });
      }
      await cold;
      clearInterval(ticking);
      records.flush();
    },
    cut() {
      for (const session of sessions.all()) session.guard(() => session.cut('shutdown'));
    },
  };
}
