import type { BackendEvent } from '../balancer/balancer.ts';
import type { PoolSnapshot } from '../pool/snapshot.ts';
import type { SessionView } from '../session/record.ts';
import { sessionLine } from './access-log.ts';
import { type PreparedUpdate, type Shard, type ShardOptions, startShard } from './shard.ts';
import type { SessionFilter, ShardSnapshot } from './snapshot.ts';
import type { BoundSocket, SocketPlaces } from './sockets.ts';
import type { StickyKeeper } from './sticky-keeper.ts';

/** A shard as the control plane has it: in this thread or in another. */
export interface ShardHandle {
  /** As of the last commit. */
  readonly bound: readonly BoundSocket[];
  /** See `Shard`. Rejects, too, when the shard is lost or does not answer in time. */
  prepare(snapshot: ShardSnapshot, places: SocketPlaces): Promise<PreparedUpdate>;
  /** Resolves when it is in use; rejects as `prepare` does. */
  publish(pools: readonly PoolSnapshot[]): Promise<void>;
  views(filter: SessionFilter): Promise<readonly SessionView[]>;
  endSessions(pool: string, backend: string): Promise<number>;
  /** Resolves when nobody is accepted any more. */
  close(handedOver: boolean): Promise<void>;
  /** Resolves when the last session is over; rejects when the shard is lost. */
  drain(handedOver: boolean): Promise<void>;
  cut(): void;
  /** Ends it, whatever it is doing, and resolves when it is gone. */
  end(): Promise<void>;
}

/** What a shard tells the control plane, wherever it runs. */
export interface ShardReports {
  /** Lines of the access log. */
  readonly onLines: (lines: readonly string[]) => void;
  readonly onBackendEvent: (event: BackendEvent) => void;
  /** Answers what shards ask and tell of clients that are remembered. */
  readonly keeper: StickyKeeper;
  /** A fault of the program, which has ended one session. */
  readonly onError: (error: unknown) => void;
}

/** A shard in this thread. It ends when it has drained, and is lost only with the process. */
export function startLocalShard(
  options: Omit<ShardOptions, 'onRecords' | keyof ShardReports>,
  instance: string,
  reports: ShardReports,
): ShardHandle {
  const shard: Shard = startShard({
    ...options,
    onRecords: records => reports.onLines(records.map(record => sessionLine(record, instance))),
    keeper: reports.keeper,
    onBackendEvent: reports.onBackendEvent,
    onError: reports.onError,
  });
  let drained: Promise<void> | null = null;
  const drain = (handedOver: boolean): Promise<void> => {
    drained ??= shard.drain(handedOver);
    return drained;
  };
  return {
    get bound() {
      return shard.bound;
    },
    prepare: shard.prepare,
    publish: async pools => shard.publish(pools),
    views: async filter => shard.views(filter),
    endSessions: async (pool, backend) => shard.endSessions(pool, backend),
    close: shard.close,
    drain,
    cut: shard.cut,
    async end() {
      const ended = drain(false);
      shard.cut();
      await ended;
    },
  };
}
