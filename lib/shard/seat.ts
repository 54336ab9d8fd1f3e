import { type Board, forfeit, openBoard } from '../core/board.ts';
import { monotonicMs } from '../core/clock.ts';
import type { ShardStats } from '../core/shard-stats.ts';
import type { TransportName } from '../transport/fast.ts';
import type { Custodian } from '../transport/linux/custodian.ts';
import { closeAbandoned, openDescriptorRecord, unmapAbandoned } from '../transport/linux/descriptor.ts';
import { openPossessions } from '../transport/linux/openssl/possessions.ts';
import { createNetTransport } from '../transport/net/transport.ts';
import { type ShardHandle, type ShardReports, startLocalShard } from './handle.ts';
import { createTaken } from './line-gate.ts';
import { type BoundSocket, closeUntaken } from './sockets.ts';
import { type SpawnShard, spawnShard } from './spawn.ts';
import { startWorker } from './worker-handle.ts';

/** What kind of shard sits there. */
export interface SeatKind {
  readonly transport: TransportName;
  /** Without, another seat serves where TLS is spoken. */
  readonly speaksTls: boolean;
  /** Runs in this thread, over `net`. */
  readonly inThread: boolean;
  /** Starts when a listener needs its transport, and not before. */
  readonly onDemand?: boolean;
}

export interface SeatOptions extends SeatKind {
  readonly index: number;
  readonly board: Board;
  /** Its shard's own, whoever that is; its counts go on when the shard is replaced. */
  readonly stats: ShardStats;
  readonly descriptors: number;
  readonly instance: string;
  readonly reports: ShardReports;
  /** Null where there is none. */
  readonly custodian: Custodian | null;
  /** Starts threads in another way than usual. */
  readonly spawn?: SpawnShard | undefined;
  /** Gives back what a shard that is over has held beside the board. */
  readonly onForfeit: (shard: number) => void;
  /** The shard is over without having been told to; what it held has been given back. */
  readonly onLost: (error: unknown, sessions: number) => void;
}

/** The place of one shard. It outlives the thread: counters, what is held on the board, and who has which socket. */
export interface Seat {
  readonly index: number;
  readonly transport: TransportName;
  /** Nobody has needed it yet. */
  readonly idle: boolean;
  /** Null while there is no shard. */
  readonly handle: ShardHandle | null;
  readonly sessions: number;
  /** Milliseconds since its clock ticked last; 0 where nobody else could notice. */
  silentMs(): number;
  /** Resolves when a shard is there. It listens nowhere yet. */
  start(): Promise<void>;
  end(): Promise<void>;
  /** Ends a thread that does not hear any more, as if it had died of `why`. */
  kill(why: Error): void;
  /**
   * What the shard before listened on, where that outlived it: what the kernel connects there meanwhile waits for the
   * one that takes its place.
   */
  readonly kept: readonly BoundSocket[];
  /** Closes what is kept: it has been taken over, or nobody is to wait for it. */
  closeKept(): void;
}

export function createSeat(options: SeatOptions): Seat {
  const { board, custodian, descriptors, index, inThread, instance, reports, spawn, stats, transport } =
    options;
  // In this thread the shard uses the board as it is: the same view, the same holdings.
  const own = inThread ? board : openBoard(board.memory);
  const memory = {
    board: board.memory,
    holdings: own.holdings,
    stats: stats.memory,
    linesTaken: createTaken(),
    descriptors: openDescriptorRecord(),
    possessions: openPossessions(),
  };
  let handle: ShardHandle | null = null;
  let kill: (why: Error) => void = () => {};
  let idle = options.onDemand === true;

  let kept: readonly BoundSocket[] = [];

  const closeKept = (): void => {
    closeUntaken(kept);
    kept = [];
  };

  /** Nobody else can: what the shard held is given back, and its sessions have ended. */
  const settle = (): void => {
    const { held } = own.listenerSessions;
    for (let row = 0; row < held.length; row++) {
      const lost = held[row] as number;
      // Where each of them was is not known any more; nearly all of a session's life is relaying.
      if (lost > 0) stats.listeners.add(row, 'internal/relaying', lost);
    }
    // Node closes the sockets it knows of; those of a fast transport it does not know.
    if (custodian !== null) unmapAbandoned(memory.descriptors, custodian.unmap);
    custodian?.freeTls(memory.possessions);
    closeAbandoned(
      memory.descriptors,
      descriptor => closeUntaken([{ descriptor }]),
      new Set(kept.flatMap(({ descriptor }) => descriptor ?? [])),
    );
    forfeit(own);
    options.onForfeit(index);
    stats.signs.sessions = 0;
  };

  return {
    index,
    transport,
    get idle() {
      return idle;
    },
    get handle() {
      return handle;
    },
    get sessions() {
      return stats.signs.sessions;
    },
    silentMs: () => (inThread || handle === null ? 0 : monotonicMs() - stats.signs.tickedAtMs),
    get kept() {
      return kept;
    },
    closeKept,
    async start() {
      idle = false;
      if (inThread) {
        handle = startLocalShard(
          { board, stats, descriptors, number: index, transport: createNetTransport(reports.onError) },
          instance,
          reports,
        );
        return;
      }
      stats.signs.tickedAtMs = monotonicMs();
      const worker = await startWorker(
        { transport, number: index, instance, descriptors, memory },
        reports,
        spawn ?? spawnShard,
      ).catch(error => {
        settle();
        throw error;
      });
      handle = worker;
      kill = worker.kill;
      void worker.gone.then(({ unexpected, error }) => {
        const { sessions } = stats.signs;
        handle = null;
        // Node has closed its own with the thread.
        if (unexpected && transport !== 'net' && worker.bound.length > 0) {
          closeKept();
          kept = worker.bound;
        }
        settle();
        if (unexpected) options.onLost(error, sessions);
      });
    },
    async end() {
      await handle?.end();
    },
    kill: why => kill(why),
  };
}
