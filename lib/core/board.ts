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
  /** Sessions of a listener, from accept to the last byte. */
  readonly listenerSessions: Int32Array;
  /** Sessions that wait in a pool's queue. */
  readonly poolQueued: Int32Array;
  /** Slots taken at a backend: sessions between selection and close. */
  readonly backendSlots: Int32Array;
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
  /** One row: descriptors that sessions hold or may come to need. */
  readonly descriptors: Int32Array;
}

const INT32_ROWS = MAX_LISTENERS + MAX_POOLS + 3 * MAX_BACKENDS + 1;
const FLOAT64_OFFSET = Math.ceil((INT32_ROWS * Int32Array.BYTES_PER_ELEMENT) / 8) * 8;
const BOARD_BYTES = FLOAT64_OFFSET + 3 * MAX_BACKENDS * Float64Array.BYTES_PER_ELEMENT;

/** The board over its memory; another thread passes the `memory` it was given. */
export function openBoard(memory = new SharedArrayBuffer(BOARD_BYTES)): Board {
  let offset = 0;
  const int32 = (rows: number): Int32Array => {
    const column = new Int32Array(memory, offset, rows);
    offset += column.byteLength;
    return column;
  };
  const float64 = (column: number): Float64Array =>
    new Float64Array(memory, FLOAT64_OFFSET + column * MAX_BACKENDS * 8, MAX_BACKENDS);
  return {
    memory,
    listenerSessions: int32(MAX_LISTENERS),
    poolQueued: int32(MAX_POOLS),
    backendSlots: int32(MAX_BACKENDS),
    backendFailures: int32(MAX_BACKENDS),
    backendEjections: int32(MAX_BACKENDS),
    descriptors: int32(1),
    backendRetryAtMs: float64(0),
    backendEjectedAtMs: float64(1),
    backendBackSinceMs: float64(2),
  };
}

/**
 * Adds to a count unless that would pass `limit`; over all threads the limit is never passed, not even for a moment.
 * Returns whether it was added.
 */
export function take(counts: Int32Array, row: number, limit: number, amount = 1): boolean {
  for (let seen = Atomics.load(counts, row); seen + amount <= limit; ) {
    const found = Atomics.compareExchange(counts, row, seen, seen + amount);
    if (found === seen) return true;
    seen = found;
  }
  return false;
}

/** Gives back what `take` took. Throws where less was taken: that is a fault of the program. */
export function giveBack(counts: Int32Array, row: number, amount = 1): void {
  if (Atomics.sub(counts, row, amount) >= amount) return;
  Atomics.add(counts, row, amount);
  throw new Error(`a count was given back twice (row ${row})`);
}
