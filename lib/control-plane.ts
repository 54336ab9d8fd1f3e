import type { OperatorState } from './admin/operator-state.ts';
import { assemble, type BackendAddresses, resolveBackends, type StateOf } from './assemble.ts';
import type { Config } from './config/config.ts';
import type { Board } from './core/board.ts';
import type { MonotonicMs } from './core/clock.ts';
import { recordReturn } from './pool/slow-start.ts';
import type { BackendSnapshot, Health } from './pool/snapshot.ts';
import type { Rows } from './rows.ts';
import { type Shard, type ShardOptions, startShard } from './shard/shard.ts';
import type { ShardSnapshot } from './shard/snapshot.ts';

export interface ControlPlaneOptions {
  readonly board: Board;
  readonly rows: Rows;
  readonly operator: OperatorState;
  /** What checks say; `up` where there are none. */
  readonly healthOf: (pool: string, backend: string) => Health;
  readonly now: MonotonicMs;
  readonly shard: ShardOptions;
}

/** What runs now: a configuration, and the snapshot that was made of it, of health and of the operator's words. */
export interface ControlPlane {
  readonly shard: Shard;
  readonly config: Config;
  readonly snapshot: ShardSnapshot;
  /** How often a configuration has been put into use. */
  readonly generation: number;
  /** Puts a configuration into use; rejects with a sentence, and with nothing changed, where that cannot be done. */
  use(config: Config): Promise<void>;
  /** Health, admin states or weights have changed: tells the shards. */
  publish(): void;
}

/** Starts the data plane with its first configuration; rejects as `use` does. */
export async function startControlPlane(first: Config, options: ControlPlaneOptions): Promise<ControlPlane> {
  const { board, healthOf, now, operator, rows } = options;
  const stateOf: StateOf = (pool, backend) => ({
    health: healthOf(pool, backend),
    ...operator.of(pool, backend),
  });

  let config = first;
  let addresses: BackendAddresses = await resolveBackends(first);
  rows.beginGeneration();
  let snapshot = assemble(config, addresses, rows, stateOf);
  let generation = 1;
  // Two reloads at once would take turns at the sockets.
  let turn: Promise<unknown> = Promise.resolve();
  const shard = await startShard(snapshot, options.shard);

  const use = async (next: Config): Promise<void> => {
    const nextAddresses = await resolveBackends(next);
    rows.beginGeneration();
    const nextSnapshot = assemble(next, nextAddresses, rows, stateOf);
    await shard.update(nextSnapshot);
    config = next;
    addresses = nextAddresses;
    snapshot = nextSnapshot;
    generation++;
  };

  return {
    shard,
    get config() {
      return config;
    },
    get snapshot() {
      return snapshot;
    },
    get generation() {
      return generation;
    },
    use(next) {
      const used = turn.then(() => use(next));
      turn = used.catch(() => {});
      return used;
    },
    publish() {
      const before = new Map(
        snapshot.pools.flatMap(pool => pool.backends).map(backend => [backend.row, backend]),
      );
      snapshot = assemble(config, addresses, rows, stateOf);
      for (const backend of snapshot.pools.flatMap(pool => pool.backends)) {
        const was = before.get(backend.row);
        if (was !== undefined && !serving(was) && serving(backend)) recordReturn(board, backend.row, now());
      }
      shard.publish(snapshot.pools);
    },
  };
}

function serving({ admin, health }: BackendSnapshot): boolean {
  return admin === 'ready' && health === 'up';
}
