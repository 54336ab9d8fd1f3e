import { MAX_BACKENDS, MAX_LISTENERS, MAX_POOLS } from './limits.ts';

/**
 * The counts that every shard of an instance must agree on at once, in shared memory: with them least-connections
 * and connection limits are exact over all shards, without a message. Rows are given out by the control plane (see
 * `Directory`); a row means the same listener, pool or backend in every thread.
 *
 * What only one shard writes (counters for metrics) is in `ShardStats` instead.
 */
export interface Board {
  readonly memory: SharedArrayBuffer;
  /** What has been taken through this view of the board, and not given back. */
  readonly holdings: SharedArrayBuffer;
  /** Sessions of a listener, from accept to the last byte. */
  readonly listenerSessions: Count;
  /** Sessions that wait in a pool's queue. */
  readonly poolQueued: Count;
  /** Slots taken at a backend: sessions between selection and close. */
  readonly backendSlots: Count;
  /** Warm connections to a backend, open or being opened. */
  readonly backendWarm: Count;
  /** Those of them that wait for a session. */
  readonly backendWarmReady: Count;
  /** Failures of a backend in a row, as sessions met them. */
  readonly backendFailures: Int32Array;
  /** How often in a row a backend was left because of failures; decides how long the next pause is. */
  readonly backendEjections: Int32Array;
  /** Monotonic milliseconds until which a backend is left alone; 0 where it is not. */
  readonly backendRetryAtMs: Float64Array;
  /** Monotonic milliseconds of the last ejection. */
  readonly backendEjectedAtMs: Float64Array;
  /** Monotonic milliseconds of its last return to service; 0 where it never left. */
  readonly backendBackSinceMs: Float64Array;
  /** Sessions that the other instances of the cluster have at a backend, as last heard; see `applyOthers`. */
  readonly backendOthers: Int32Array;
  /** Sessions that the other instances begin at a backend, in thousandths a second. */
  readonly backendOthersRate: Int32Array;
  /** Slots that this instance may take at a backend whose limit holds over the cluster; -1 where none does. */
  readonly backendGrant: Int32Array;
  /** How often a backend was passed over for want of granted slots, since the control plane last asked. */
  readonly backendWants: Int32Array;
  /** One row: the monotonic milliseconds at which the others' counts were true; 0 where none were ever heard. */
  readonly othersAtMs: Float64Array;
  /** One row: descriptors that sessions hold or may come to need. */
  readonly descriptors: Count;
}

/** A column of counts that all threads share, and how much of each was taken through this view: by one shard. */
export type Count = Int32Array & { readonly held: Int32Array };

/** In `backendGrant`: no limit of this backend holds over the cluster. */
export const NO_GRANT = -1;

const COUNTS = [
  'listenerSessions',
  'poolQueued',
  'backendSlots',
  'backendWarm',
  'backendWarmReady',
  'descriptors',
] as const;
const COUNT_ROWS = MAX_LISTENERS + MAX_POOLS + 3 * MAX_BACKENDS + 1;
const HOLDINGS_BYTES = COUNT_ROWS * Int32Array.BYTES_PER_ELEMENT;

const INT32_ROWS = MAX_LISTENERS + MAX_POOLS + 9 * MAX_BACKENDS + 1;
const FLOAT64_OFFSET = Math.ceil((INT32_ROWS * Int32Array.BYTES_PER_ELEMENT) / 8) * 8;
const BOARD_BYTES = FLOAT64_OFFSET + (3 * MAX_BACKENDS + 1) * Float64Array.BYTES_PER_ELEMENT;

/**
 * The board over its memory; another thread passes the `memory` it was given. `holdings` is written by one shard only,
 * and outlives it: whoever replaces a shard that died has `forfeit` give back what that held.
 */
export function openBoard(
  given?: SharedArrayBuffer,
  holdings = new SharedArrayBuffer(HOLDINGS_BYTES),
): Board {
  const fresh = given === undefined;
  const memory = given ?? new SharedArrayBuffer(BOARD_BYTES);
  let offset = 0;
  let heldOffset = 0;
  const int32 = (rows: number): Int32Array => {
    const column = new Int32Array(memory, offset, rows);
    offset += column.byteLength;
    return column;
  };
  const count = (rows: number): Count => {
    const held = new Int32Array(holdings, heldOffset, rows);
    heldOffset += held.byteLength;
    return Object.assign(int32(rows), { held });
  };
  const float64 = (column: number, rows = MAX_BACKENDS): Float64Array =>
    new Float64Array(memory, FLOAT64_OFFSET + column * MAX_BACKENDS * 8, rows);
  const board: Board = {
    memory,
    holdings,
    listenerSessions: count(MAX_LISTENERS),
    poolQueued: count(MAX_POOLS),
    backendSlots: count(MAX_BACKENDS),
    backendWarm: count(MAX_BACKENDS),
    backendWarmReady: count(MAX_BACKENDS),
    backendFailures: int32(MAX_BACKENDS),
    backendEjections: int32(MAX_BACKENDS),
    backendOthers: int32(MAX_BACKENDS),
    backendOthersRate: int32(MAX_BACKENDS),
    backendGrant: int32(MAX_BACKENDS),
    backendWants: int32(MAX_BACKENDS),
    descriptors: count(1),
    backendRetryAtMs: float64(0),
    backendEjectedAtMs: float64(1),
    backendBackSinceMs: float64(2),
    othersAtMs: float64(3, 1),
  };
  if (fresh) board.backendGrant.fill(NO_GRANT);
  return board;
}

/**
 * Adds to a count unless that would pass `limit`; over all threads the limit is never passed, not even for a moment.
 * Returns whether it was added.
 */
export function take(counts: Count, row: number, limit: number, amount = 1): boolean {
  for (let seen = Atomics.load(counts, row); seen + amount <= limit; ) {
    const found = Atomics.compareExchange(counts, row, seen, seen + amount);
    if (found === seen) {
      // A thread is ended at calls, loops and allocations only: there is none between the count and this.
      counts.held[row] = (counts.held[row] as number) + amount;
      return true;
    }
    seen = found;
  }
  return false;
}

/** Gives back what `take` took. Throws where less was taken: that is a fault of the program. */
export function giveBack(counts: Count, row: number, amount = 1): void {
  const held = counts.held[row] as number;
  if (held < amount) throw new Error(`a count was given back twice (row ${row})`);
  counts.held[row] = held - amount;
  Atomics.sub(counts, row, amount);
}

/** Gives back all that was taken through a view of the board. Its shard must be over: nobody may write it any more. */
export function forfeit(board: Board): void {
  for (const column of COUNTS) {
    const { held } = board[column];
    for (let row = 0; row < held.length; row++) {
      if (held[row] !== 0) Atomics.sub(board[column], row, held[row] as number);
      held[row] = 0;
    }
  }
}
