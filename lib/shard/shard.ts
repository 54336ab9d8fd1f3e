import { type Admission, createAdmission } from '../admission/admission.ts';
import { createDescriptorBudget } from '../admission/descriptor-budget.ts';
import { type BackendEvent, Balancer } from '../balancer/balancer.ts';
import type { Address } from '../core/address.ts';
import type { Board } from '../core/board.ts';
import { cidrSet } from '../core/cidr.ts';
import type { ShardStats } from '../core/shard-stats.ts';
import { TICK_MS, TimerWheel } from '../core/timer-wheel.ts';
import type { PoolSnapshot } from '../pool/snapshot.ts';
import type { SessionContext } from '../session/context.ts';
import type { SessionRecord, SessionView } from '../session/record.ts';
import { Session } from '../session/session.ts';
import type { ListenerSnapshot } from '../session/snapshot.ts';
import type { Transport } from '../transport/contract.ts';
import { createBatch } from './batch.ts';
import { createIds } from './ids.ts';
import { createListeningSockets } from './listening-sockets.ts';
import type { ShardSnapshot } from './snapshot.ts';

export interface ShardOptions {
  readonly board: Board;
  /** This shard's own; nobody else writes them. */
  readonly stats: ShardStats;
  readonly transport: Transport;
  /** Descriptors that the sessions of all shards may use together. */
  readonly descriptors: number;
  readonly onRecords: (records: readonly SessionRecord[]) => void;
  readonly onBackendEvent: (event: BackendEvent) => void;
  /** A fault of the program, which has ended one session. */
  readonly onError: (error: unknown) => void;
}

/** One data plane: its listeners, the sessions that came in through them, and the clock that drives both. */
export interface Shard {
  /** Addresses listened on, by listener name, with the ports that were given where 0 was asked for. */
  readonly listening: ReadonlyMap<string, readonly Address[]>;
  /** Sessions that are not closed. */
  readonly sessions: number;
  /**
   * Puts a snapshot into use. Sessions keep what they began with; new ones see the new. Rejects, with nothing
   * changed, with a sentence that names the address where one cannot be listened on.
   */
  update(snapshot: ShardSnapshot): Promise<void>;
  /** Pools that are in use already, with other health, admin states or weights. */
  publish(pools: readonly PoolSnapshot[]): void;
  /** The sessions that are not over, the oldest first. */
  views(filter: (view: SessionView) => boolean, limit: number): SessionView[];
  /** Ends the sessions that a backend serves. Returns how many. */
  endSessions(pool: string, backend: string): number;
  /** Stops accepting, refuses who waits, and resolves when the last session is over. */
  drain(): Promise<void>;
  /** Ends the sessions that are left; `drain` then resolves. */
  cut(): void;
}

const BATCH_SIZE = 256;

/** Starts a shard; rejects as `update` does. */
export async function startShard(snapshot: ShardSnapshot, options: ShardOptions): Promise<Shard> {
  const { board, stats, transport } = options;
  const wheel = new TimerWheel();
  const now = () => wheel.now();
  const records = createBatch(BATCH_SIZE, options.onRecords);
  const descriptors = createDescriptorBudget(board, options.descriptors);
  const nextId = createIds();
  const sessions = new Set<Session>();
  let onIdle = (): void => {};

  /** Balancers in use, and those of pools that are gone but may still have sessions waiting. */
  let balancers = new Map<string, Balancer>();
  const retired = new Set<Balancer>();
  let contexts = new Map<string, SessionContext>();

  const sockets = createListeningSockets(transport, (listener, connection) => {
    const context = contexts.get(listener);
    if (context === undefined) return connection.destroy(); // removed between accept and now
    const session = new Session(context, connection);
    sessions.add(session);
    session.guard(() => session.begin());
  });

  const contextOf = (listener: ListenerSnapshot, hostName: string, recorded: boolean): SessionContext => {
    const balancer = balancers.get(listener.pool);
    if (balancer === undefined) throw new Error(`listener ${listener.name} names no pool of the snapshot`);
    return {
      listener,
      balancer,
      admission: admissionOf(listener),
      proxyFrom: cidrSet(listener.proxyFrom),
      descriptors,
      transport,
      wheel,
      stats,
      hostName,
      nextId,
      record: recorded ? records.add : null,
      onClosed(session) {
        sessions.delete(session);
        if (sessions.size === 0) onIdle();
      },
      onError: options.onError,
    };
  };

  /** A listener that stays knows its clients over a reload. */
  const admissionOf = (listener: ListenerSnapshot): Admission => {
    const before = contexts.get(listener.name);
    if (before === undefined) return createAdmission(listener.admission, listener.row, board, now);
    before.admission.update(listener.admission);
    return before.admission;
  };

  const update = async (next: ShardSnapshot): Promise<void> => {
    await sockets.update(next.listeners);
    const kept = new Map<string, Balancer>();
    for (const pool of next.pools) {
      const balancer = balancers.get(pool.name);
      balancer?.update(pool);
      kept.set(
        pool.name,
        balancer ??
          new Balancer(pool, {
            board,
            stats,
            now,
            random: Math.random,
            onBackendEvent: options.onBackendEvent,
          }),
      );
      balancers.delete(pool.name);
    }
    for (const gone of balancers.values()) retired.add(gone);
    balancers = kept;
    contexts = new Map(
      next.listeners.map(listener => [listener.name, contextOf(listener, next.hostName, next.records)]),
    );
  };

  let tickDueMs = wheel.now() + TICK_MS;
  const tick = (): void => {
    stats.loopLagSeconds.observe(0, Math.max(0, wheel.now() - tickDueMs) / 1_000);
    tickDueMs = wheel.now() + TICK_MS;
    wheel.advance();
    // A slot may have come free in another shard, a pause may be over: nobody else would tell those who wait.
    for (const balancer of balancers.values()) if (balancer.waiting > 0) balancer.serveQueue();
    for (const balancer of retired) {
      if (balancer.waiting > 0) balancer.serveQueue();
      else retired.delete(balancer);
    }
    records.flush();
  };

  await update(snapshot);
  const ticking = setInterval(tick, TICK_MS);

  return {
    get listening() {
      return sockets.addresses;
    },
    get sessions() {
      return sessions.size;
    },
    update,
    publish(pools) {
      for (const pool of pools) balancers.get(pool.name)?.update(pool);
    },
    views(filter, limit) {
      const found: SessionView[] = [];
      for (const session of sessions) {
        if (found.length >= limit) break;
        const view = session.view();
        if (filter(view)) found.push(view);
      }
      return found;
    },
    endSessions(pool, backend) {
      const served = [...sessions].filter(session => session.servedBy(pool, backend));
      for (const session of served) session.guard(() => session.cut('maintenance'));
      return served.length;
    },
    async drain() {
      await sockets.close();
      for (const session of sessions) session.guard(() => session.drain());
      if (sessions.size > 0) {
        await new Promise<void>(resolve => {
          onIdle = resolve;
        });
      }
      clearInterval(ticking);
      records.flush();
    },
    cut() {
      for (const session of sessions) session.guard(() => session.cut('shutdown'));
    },
  };
}
