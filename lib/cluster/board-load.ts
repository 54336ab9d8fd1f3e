/** Between the board and the cluster: what this instance has at its backends, and what the others have. */
import type { Board } from '../core/board.ts';
import { createDecayingRate, type DecayingRate } from '../core/decaying-rate.ts';
import { applyOthers } from '../core/others.ts';
import type { ShardStats } from '../core/shard-stats.ts';
import type { BackendSnapshot, PoolSnapshot } from '../pool/snapshot.ts';
import type { Exchanged } from './counts.ts';
import { EXCHANGE_MS, RATE_FADE_MS, SUM_AGE_MS } from './limits.ts';
import { type Load, NO_LOAD } from './report.ts';

export interface BoardLoadOptions {
  readonly board: Board;
  /** One a shard. */
  readonly shards: readonly ShardStats[];
}

export interface BoardLoad {
  /** The pools in use; to be told whenever they change. */
  use(pools: readonly PoolSnapshot[], nowMs: number): void;
  /** What this instance has now, over all its shards. */
  own(nowMs: number): Load;
  isKnown(name: string): boolean;
  /** Writes what the others have to the board, for the shards to choose by. */
  apply(exchanged: Exchanged, nowMs: number): void;
  /** As last heard, however long ago. */
  readonly others: Load;
}

interface PoolRate {
  readonly rate: DecayingRate;
  readonly picks: Map<number, number>;
}

/** `pool/backend`: what a backend is called over the cluster. */
export function nameOf(pool: { readonly name: string }, backend: { readonly name: string }): string {
  return `${pool.name}/${backend.name}`;
}

/**
 * On the average the others' counts are older than their answer: an instance writes what has changed once each
 * EXCHANGE_MS, and Redis adds up at most once each SUM_AGE_MS.
 */
const UNSEEN_MS = (EXCHANGE_MS + SUM_AGE_MS) / 2;

export function createBoardLoad({ board, shards }: BoardLoadOptions): BoardLoad {
  let pools: readonly PoolSnapshot[] = [];
  /** Rows by name; those of backends that are gone stay while they have sessions. */
  let rows = new Map<string, number>();
  const rates = new Map<string, PoolRate>();
  let others = NO_LOAD;

  const slots = (row: number): number => Atomics.load(board.backendSlots, row);
  const picks = (row: number): number =>
    shards.reduce((all, shard) => all + shard.backends.get(row, 'picks'), 0);

  /** Sessions begun at a pool's backends since the last call go into its rate. */
  const measure = (pool: PoolSnapshot, nowMs: number): number => {
    let known = rates.get(pool.name);
    if (known === undefined) {
      known = { rate: createDecayingRate(RATE_FADE_MS), picks: new Map() };
      rates.set(pool.name, known);
    }
    let begun = 0;
    for (const { row } of pool.backends) {
      const now = picks(row);
      // A row that another backend had before begins anew.
      begun += Math.max(0, now - (known.picks.get(row) ?? now));
      known.picks.set(row, now);
    }
    known.rate.add(begun, nowMs);
    return known.rate.perSecond(nowMs);
  };

  return {
    use(next, nowMs) {
      pools = next;
      const nextRows = new Map(
        pools.flatMap(pool => pool.backends.map(backend => [nameOf(pool, backend), backend.row] as const)),
      );
      const taken = new Set(nextRows.values());
      for (const [name, row] of rows) {
        if (!nextRows.has(name) && !taken.has(row) && slots(row) > 0) nextRows.set(name, row);
      }
      rows = nextRows;
      for (const name of rates.keys()) if (!pools.some(pool => pool.name === name)) rates.delete(name);
      for (const pool of pools) measure(pool, nowMs);
    },
    own(nowMs) {
      const sessions = new Map<string, number>();
      for (const [name, row] of rows) {
        const count = slots(row);
        if (count > 0) sessions.set(name, count);
      }
      return { sessions, rates: new Map(pools.map(pool => [pool.name, measure(pool, nowMs)])) };
    },
    isKnown: name => rows.has(name) || rates.has(name),
    apply({ others: heard, asOfMs }, nowMs) {
      others = heard;
      const list = pools.flatMap(pool => {
        const serving = likely(pool.backends);
        const share = (heard.rates.get(pool.name) ?? 0) / Math.max(1, serving.size);
        return pool.backends.map(backend => ({
          row: backend.row,
          sessions: heard.sessions.get(nameOf(pool, backend)) ?? 0,
          sessionsPerSecond: serving.has(backend) ? share : 0,
        }));
      });
      applyOthers(board, list, nowMs - asOfMs + UNSEEN_MS, nowMs);
    },
    get others() {
      return others;
    },
  };
}

/** Where the others' new sessions of a pool go, as far as can be seen from here. */
function likely(backends: readonly BackendSnapshot[]): ReadonlySet<BackendSnapshot> {
  const serving = backends.filter(({ admin, health }) => admin === 'ready' && health === 'up');
  const primaries = serving.filter(({ backup }) => !backup);
  return new Set(primaries.length > 0 ? primaries : serving);
}
