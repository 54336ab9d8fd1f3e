import { createAdmission } from '../admission/admission.ts';
import { createDescriptorBudget } from '../admission/descriptor-budget.ts';
import { type BackendEvent, Balancer } from '../balancer/balancer.ts';
import { type Address, formatAddress } from '../core/address.ts';
import type { Board } from '../core/board.ts';
import { cidrSet } from '../core/cidr.ts';
import type { ShardStats } from '../core/shard-stats.ts';
import { TICK_MS, TimerWheel } from '../core/timer-wheel.ts';
import type { SessionContext } from '../session/context.ts';
import type { SessionRecord } from '../session/record.ts';
import { Session } from '../session/session.ts';
import type { ListenerSnapshot } from '../session/snapshot.ts';
import type { Listening, Transport } from '../transport/contract.ts';
import { createBatch } from './batch.ts';
import { createIds } from './ids.ts';
import type { ShardSnapshot } from './snapshot.ts';

export interface ShardOptions {
  readonly board: Board;
  /** This shard's own; nobody else writes them. */
  readonly stats: ShardStats;
  readonly transport: Transport;
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
  /** Stops accepting, refuses who waits, and resolves when the last session is over. */
  drain(): Promise<void>;
  /** Ends the sessions that are left; `drain` then resolves. */
  cut(): void;
}

const BATCH_SIZE = 256;

/** Starts a shard. Rejects with a sentence that names the address where one cannot be listened on. */
export async function startShard(snapshot: ShardSnapshot, options: ShardOptions): Promise<Shard> {
  const { board, stats, transport } = options;
  const wheel = new TimerWheel();
  const records = createBatch(BATCH_SIZE, options.onRecords);
  const sessions = new Set<Session>();
  const descriptors = createDescriptorBudget(board, snapshot.descriptors);
  const nextId = createIds();
  const now = () => wheel.now();
  const balancers = new Map(
    snapshot.pools.map(pool => [
      pool.name,
      new Balancer(pool, { board, stats, now, random: Math.random, onBackendEvent: options.onBackendEvent }),
    ]),
  );

  let onIdle = (): void => {};
  const onClosed = (session: Session): void => {
    sessions.delete(session);
    if (sessions.size === 0) onIdle();
  };

  const contextOf = (listener: ListenerSnapshot): SessionContext => {
    const balancer = balancers.get(listener.pool);
    if (balancer === undefined) throw new Error(`listener ${listener.name} names no pool of the snapshot`);
    return {
      listener,
      balancer,
      admission: createAdmission(listener.admission, listener.row, board, now),
      proxyFrom: cidrSet(listener.proxyFrom),
      descriptors,
      transport,
      wheel,
      stats,
      hostName: snapshot.hostName,
      nextId,
      record: snapshot.records ? records.add : null,
      onClosed,
      onError: options.onError,
    };
  };

  const listening = new Map<string, Listening[]>();
  const stopListening = (): Promise<unknown> =>
    Promise.all([...listening.values()].flat().map(listener => listener.close()));

  for (const listener of snapshot.listeners) {
    const context = contextOf(listener);
    const opened: Listening[] = [];
    listening.set(listener.name, opened);
    for (const address of listener.addresses) {
      try {
        opened.push(
          await transport.listen(address, { backlog: listener.backlog }, connection => {
            const session = new Session(context, connection);
            sessions.add(session);
            session.guard(() => session.begin());
          }),
        );
      } catch (error) {
        await stopListening();
        throw new Error(
          `listener ${listener.name} cannot listen on ${formatAddress(address)}: ${reason(error)}`,
        );
      }
    }
  }

  let tickDueMs = wheel.now() + TICK_MS;
  const tick = (): void => {
    stats.loopLagSeconds.observe(0, Math.max(0, wheel.now() - tickDueMs) / 1_000);
    tickDueMs = wheel.now() + TICK_MS;
    wheel.advance();
    // A slot may have come free in another shard, a pause may be over: nobody else would tell those who wait.
    for (const balancer of balancers.values()) if (balancer.waiting > 0) balancer.serveQueue();
    records.flush();
  };
  const ticking = setInterval(tick, TICK_MS);

  return {
    get listening() {
      return new Map([...listening].map(([name, sockets]) => [name, sockets.map(socket => socket.address)]));
    },
    get sessions() {
      return sessions.size;
    },
    async drain() {
      await stopListening();
      for (const session of sessions) session.drain();
      if (sessions.size > 0) {
        await new Promise<void>(resolve => {
          onIdle = resolve;
        });
      }
      clearInterval(ticking);
      records.flush();
    },
    cut() {
      for (const session of sessions) session.cut();
    },
  };
}

function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') return 'another process listens there (EADDRINUSE)';
  if (code === 'EACCES') return 'it needs root, or the capability CAP_NET_BIND_SERVICE (EACCES)';
  if (code === 'EADDRNOTAVAIL') return 'this host has no such address (EADDRNOTAVAIL)';
  return error instanceof Error ? error.message : String(error);
}
