import { clientTableMemory, forfeitClients, openClientTable } from './admission/client-table.ts';
import { type Board, NO_GRANT } from './core/board.ts';
import { MAX_BACKENDS, MAX_LISTENERS, MAX_POOLS } from './core/limits.ts';
import type { ShardStats } from './core/shard-stats.ts';

/** Gives out rows of the board and the counter tables. The same name keeps its row, and so its counts, for good. */
export interface Rows {
  listener(name: string): number;
  pool(name: string): number;
  backend(pool: string, name: string): number;
  /**
   * Where the shards remember a listener's clients together; null until it has limits on them. It is the listener's for
   * as long as that is asked for, limits or not, and is let go of a generation later.
   */
  clientTable(listener: string, limited: boolean): SharedArrayBuffer | null;
  /** The shard's thread is over, its sessions with it: its clients' sessions are given back, in all tables. */
  forfeitClients(shard: number): void;
  /** Names that have not been asked for since the last call of this may lose their rows when rows run out. */
  beginGeneration(): void;
}

interface Row {
  readonly at: number;
  generation: number;
}

/**
 * `busy` says whether sessions of an earlier configuration still count on a row, `clear` prepares it for its next
 * owner. Rows are not given away while there are fresh ones: a backend that is gone for an hour keeps its counters.
 */
function createTable(
  what: string,
  size: number,
  busy: (row: number) => boolean,
  clear: (row: number) => void,
) {
  const rows = new Map<string, Row>();
  return (name: string, generation: number): number => {
    const known = rows.get(name);
    if (known !== undefined) {
      known.generation = generation;
      return known.at;
    }
    let at = rows.size;
    if (at >= size) {
      const free = [...rows].find(([, row]) => row.generation < generation && !busy(row.at));
      if (free === undefined)
        throw new Error(`there can be at most ${size} ${what}, old ones with sessions included`);
      rows.delete(free[0]);
      at = free[1].at;
      clear(at);
    }
    rows.set(name, { at, generation });
    return at;
  };
}

export function createRows(board: Board, shards: readonly ShardStats[]): Rows {
  let generation = 0;
  const each = (clear: (shard: ShardStats) => void) => {
    for (const shard of shards) clear(shard);
  };
  const listeners = createTable(
    'listeners',
    MAX_LISTENERS,
    row => Atomics.load(board.listenerSessions, row) > 0,
    row =>
      each(shard => {
        shard.listeners.clear(row);
        shard.sessionSeconds.clear(row);
      }),
  );
  const pools = createTable(
    'pools',
    MAX_POOLS,
    row => Atomics.load(board.poolQueued, row) > 0,
    row =>
      each(shard => {
        shard.pools.clear(row);
        shard.connectSeconds.clear(row);
        shard.greetingSeconds.clear(row);
        shard.queueSeconds.clear(row);
      }),
  );
  const backends = createTable(
    'backends',
    MAX_BACKENDS,
    row => Atomics.load(board.backendSlots, row) + Atomics.load(board.backendWarm, row) > 0,
    row => {
      Atomics.store(board.backendFailures, row, 0);
      Atomics.store(board.backendEjections, row, 0);
      board.backendRetryAtMs[row] = 0;
      board.backendBackSinceMs[row] = 0;
      Atomics.store(board.backendOthers, row, 0);
      Atomics.store(board.backendOthersRate, row, 0);
      Atomics.store(board.backendGrant, row, NO_GRANT);
      Atomics.store(board.backendWants, row, 0);
      each(shard => shard.backends.clear(row));
    },
  );
  const tables = new Map<string, { readonly memory: SharedArrayBuffer; generation: number }>();
  return {
    listener: name => listeners(name, generation),
    pool: name => pools(name, generation),
    backend: (pool, name) => backends(`${pool}/${name}`, generation),
    clientTable(listener, limited) {
      let table = tables.get(listener);
      if (table === undefined) {
        if (!limited) return null;
        table = { memory: clientTableMemory({ shards: shards.length }), generation };
        tables.set(listener, table);
      }
      table.generation = generation;
      return table.memory;
    },
    forfeitClients(shard) {
      for (const { memory } of tables.values()) forfeitClients(openClientTable(memory), shard);
    },
    beginGeneration() {
      // Sessions of a listener that is gone hold on to its table themselves.
      for (const [listener, table] of tables) if (table.generation < generation) tables.delete(listener);
      generation++;
    },
  };
}
