import type { OperatorState } from './admin/operator-state.ts';
import { assemble, type BackendPlaces, checkedBackends, resolveBackends, type StateOf } from './assemble.ts';
import type { Config } from './config/config.ts';
import { formatAddress } from './core/address.ts';
import type { Board } from './core/board.ts';
import type { MonotonicMs } from './core/clock.ts';
import type { EdgeTls } from './edge-tls.ts';
import type { Monitor } from './health/monitor.ts';
import { recordSuccess, standing } from './pool/passive-health.ts';
import { recordReturn } from './pool/slow-start.ts';
import type { BackendSnapshot } from './pool/snapshot.ts';
import { type PoolTlsTexts, readPoolTls } from './pool-tls.ts';
import type { Rows } from './rows.ts';
import type { DataPlane } from './shard/data-plane.ts';
import type { ShardSnapshot } from './shard/snapshot.ts';

export interface ControlPlaneOptions {
  readonly board: Board;
  readonly rows: Rows;
  readonly operator: OperatorState;
  readonly monitor: Monitor;
  readonly edgeTls: EdgeTls;
  readonly now: MonotonicMs;
  /** Rejects with a sentence where this machine cannot do what a configuration asks for. */
  readonly check: (config: Config) => Promise<void>;
  /** A configuration and its snapshot, just before the shards are to go by it. */
  readonly beforeUse: (config: Config, snapshot: ShardSnapshot) => void;
  /** What the shards go by now; where it could not be put into use, what they go on using. */
  readonly onUse: (config: Config, snapshot: ShardSnapshot) => void;
  readonly start: (first: ShardSnapshot) => Promise<DataPlane>;
}

/** What runs now: a configuration, and the snapshot that was made of it, of health and of the operator's words. */
export interface ControlPlane {
  readonly data: DataPlane;
  readonly config: Config;
  readonly snapshot: ShardSnapshot;
  /** How often a configuration has been put into use. */
  readonly generation: number;
  /** Puts a configuration into use; rejects with a sentence, and with nothing changed, where that cannot be done. */
  use(config: Config): Promise<void>;
  /** Certificates or ticket keys have changed: tells the shards; rejects as `use` does. */
  refresh(): Promise<void>;
  /** Health, admin states or weights have changed: tells the shards, and resolves when they go by it. */
  publish(): Promise<void>;
  /**
   * A check has seen a backend greet. If sessions had failed there and its pause is over, it is trusted again: a backup,
   * or a quiet night, would leave it under suspicion until a session tried it.
   */
  greeted(pool: string, backend: string): void;
}

/** Starts the data plane with its first configuration; rejects as `use` does. */
export async function startControlPlane(first: Config, options: ControlPlaneOptions): Promise<ControlPlane> {
  const { board, edgeTls, monitor, now, operator, rows } = options;
  const stateOf: StateOf = (pool, backend) => ({
    health: monitor.of(pool, backend).health,
    ...operator.of(pool, backend),
  });

  let config = first;
  let places: BackendPlaces = await resolveBackends(first);
  let tls: PoolTlsTexts = await readPoolTls(first);
  await edgeTls.prepare(first);
  await options.check(first);
  rows.beginGeneration();
  let snapshot = assemble(config, places, tls, rows, stateOf, edgeTls.of);
  let generation = 1;
  // Two reloads at once would take turns at the sockets.
  let turn: Promise<unknown> = Promise.resolve();
  options.beforeUse(config, snapshot);
  const data = await options.start(snapshot);
  options.onUse(config, snapshot);
  monitor.update(checkedBackends(config, places, tls));
  edgeTls.adopt(config);

  const publish = (): Promise<void> => {
    const before = new Map(
      snapshot.pools.flatMap(pool => pool.backends).map(backend => [backend.row, backend]),
    );
    snapshot = assemble(config, places, tls, rows, stateOf, edgeTls.of);
    for (const { name, backends } of snapshot.pools) {
      for (const backend of backends) {
        const was = before.get(backend.row);
        if (was === undefined) continue;
        // Checks that bring a backend up have seen it work: what sessions met before counts no more.
        const proven = was.health === 'down' && monitor.of(name, backend.name).outcome === 'ok';
        if (proven && backend.health === 'up') recordSuccess(board, backend.row);
        if (!serving(was) && serving(backend)) recordReturn(board, backend.row, now());
      }
    }
    return data.publish(snapshot.pools);
  };

  const use = async (next: Config): Promise<void> => {
    const nextPlaces = await resolveBackends(next);
    const nextTls = await readPoolTls(next);
    await edgeTls.prepare(next);
    await options.check(next);
    rows.beginGeneration();
    // What runs now keeps its rows: it may run on, if the next cannot be put into use.
    assemble(config, places, tls, rows, stateOf, edgeTls.of);
    const nextSnapshot = assemble(next, nextPlaces, nextTls, rows, stateOf, edgeTls.of);
    options.beforeUse(next, nextSnapshot);
    try {
      await data.update(nextSnapshot);
    } catch (error) {
      options.onUse(config, snapshot);
      throw error;
    }
    options.onUse(next, nextSnapshot);
    // What sessions met at a backend's old address says nothing of the new one.
    for (const row of movedRows(snapshot, nextSnapshot)) recordSuccess(board, row);
    edgeTls.adopt(next);
    config = next;
    places = nextPlaces;
    tls = nextTls;
    snapshot = nextSnapshot;
    generation++;
    monitor.update(checkedBackends(config, places, tls));
    // What checks and the operator said while the sockets changed is not in that snapshot.
    await publish();
  };

  /** Certificates or ticket keys are others now; everything else is as it was. */
  const refresh = async (): Promise<void> => {
    snapshot = assemble(config, places, tls, rows, stateOf, edgeTls.of);
    await data.update(snapshot);
  };

  return {
    data,
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
    refresh() {
      const refreshed = turn.then(refresh);
      turn = refreshed.catch(() => {});
      return refreshed;
    },
    publish,
    greeted(pool, backend) {
      const row = snapshot.pools
        .find(({ name }) => name === pool)
        ?.backends.find(({ name }) => name === backend)?.row;
      if (row === undefined || standing(board, row, now()) !== 'due') return;
      recordSuccess(board, row);
      recordReturn(board, row, now());
    },
  };
}

function movedRows(before: ShardSnapshot, after: ShardSnapshot): number[] {
  const backends = ({ pools }: ShardSnapshot) => pools.flatMap(pool => pool.backends);
  const was = new Map(backends(before).map(({ row, address }) => [row, formatAddress(address)]));
  return backends(after)
    .filter(({ row, address }) => was.has(row) && was.get(row) !== formatAddress(address))
    .map(({ row }) => row);
}

function serving({ admin, health }: BackendSnapshot): boolean {
  return admin === 'ready' && health === 'up';
}
