import { randomBytes } from 'node:crypto';
import { MAX_SHARDS, TRACKED_CLIENTS } from '../core/limits.ts';

/**
 * The clients of one listener, in memory that all shards share, so that the limits on a client are exact over them.
 *
 * A client is in one set of `WAYS` slots, told by a keyed hash, and is looked for there only: no walk is longer, and
 * nothing ever moves. A set has a lock for those who look and change; it is held for some hundred nanoseconds.
 * What a shard holds is in a column of its own, so a session is given back without the lock, by one store.
 *
 * A shard may be ended at any instruction. No fact is written in two places, and a new client's slot is filled in
 * before its mark makes it one, so a set is in order after every single store; only the lock may be left behind.
 * `forfeitClients` breaks it and takes back the dead shard's sessions.
 *
 * Memory: 41 bytes for each of `TRACKED_CLIENTS` with one shard (10.8 MB), 4 more for each further shard; the kernel
 * hands it out as it is used.
 */
export interface ClientTable {
  readonly memory: SharedArrayBuffer;
  /** Whose view this is: the column of `held` it writes, and what it writes into locks (plus one). */
  readonly shard: number;
  readonly shards: number;
  readonly sets: number;
  readonly seed0: number;
  readonly seed1: number;
  /** By set: 0, or one more than the shard that holds it. */
  readonly locks: Int32Array;
  /** By set: 1 where a session came or left since the control plane last looked. */
  readonly changed: Int32Array;
  /** By slot: 0 while nobody's, else the client's hash (never 0). */
  readonly marks: Int32Array;
  readonly words: Int32Array;
  readonly kinds: Uint8Array;
  /** By slot: sessions with other instances, as last heard. */
  readonly others: Int32Array;
  /** By slot: sessions let in since the control plane last told other instances. */
  readonly untold: Int32Array;
  /** By slot and shard: sessions. */
  readonly held: Int32Array;
  /** By slot: when the client's past sessions will be paid off, in monotonic ms (GCRA's theoretical arrival time). */
  readonly paidOffAtMs: Float64Array;
}

/** Slots of a set. With half of all slots taken by sessions at once, one set in 100,000 is full. */
export const WAYS = 64;

/** The shard number of a view that lets nobody in: the control plane's. */
export const CONTROL_PLANE = MAX_SHARDS;

const HEADER_WORDS = 16;

/** Memory for a table. `clients` is rounded up to a power of two, 64 at least. */
export function clientTableMemory({
  shards = 1,
  clients = TRACKED_CLIENTS,
}: {
  readonly shards?: number;
  readonly clients?: number;
} = {}): SharedArrayBuffer {
  const sets = 2 ** Math.max(0, Math.ceil(Math.log2(clients / WAYS)));
  const slots = sets * WAYS;
  const int32Words = HEADER_WORDS + 2 * sets + slots * (1 + 4 + 2 + shards);
  const memory = new SharedArrayBuffer(slots * 8 + int32Words * 4 + slots);
  const header = new Int32Array(memory, 0, HEADER_WORDS);
  header[0] = sets;
  header[1] = shards;
  const seed = randomBytes(8);
  header[2] = seed.readInt32LE(0);
  header[3] = seed.readInt32LE(4);
  return memory;
}

/** The table over its memory, as shard number `shard` sees it; another thread passes the `memory` it was given. */
export function openClientTable(memory = clientTableMemory(), shard = 0): ClientTable {
  const header = new Int32Array(memory, 0, HEADER_WORDS);
  const [sets = 0, shards = 0, seed0 = 0, seed1 = 0] = header;
  if (shard !== CONTROL_PLANE && shard >= shards)
    throw new Error(`a table of clients for ${shards} shards has no room for shard ${shard}`);
  const slots = sets * WAYS;
  let offset = header.byteLength;
  const paidOffAtMs = new Float64Array(memory, offset, slots);
  offset += paidOffAtMs.byteLength;
  const int32 = (length: number): Int32Array => {
    const column = new Int32Array(memory, offset, length);
    offset += column.byteLength;
    return column;
  };
  return {
    memory,
    shard,
    shards,
    sets,
    seed0,
    seed1,
    paidOffAtMs,
    locks: int32(sets),
    changed: int32(sets),
    marks: int32(slots),
    words: int32(slots * 4),
    others: int32(slots),
    untold: int32(slots),
    held: int32(slots * shards),
    kinds: new Uint8Array(memory, offset, slots),
  };
}

/** Attempts at a lock before its holder is thought to be off the processor. */
const SPINS = 200;
/** Milliseconds a shard waits for a set: a holder that garbage collection or the scheduler stopped is back by then. */
const LOCK_PATIENCE_MS = 20;
/** Milliseconds it sleeps between two looks. */
const NAP_MS = 0.1;

/** Takes the lock of a set. False, after at most 20 ms, where its holder does not give it back: it is dead. */
export function lockSet({ locks, shard }: ClientTable, set: number): boolean {
  const mine = shard + 1;
  for (let spin = 0; spin < SPINS; spin++) {
    const holder = Atomics.compareExchange(locks, set, 0, mine);
    // Ours already: a shard of this number died with it, and we are the next.
    if (holder === 0 || holder === mine) return true;
  }
  const giveUpAtMs = performance.now() + LOCK_PATIENCE_MS;
  while (performance.now() < giveUpAtMs) {
    const holder = Atomics.load(locks, set);
    if (holder !== 0) Atomics.wait(locks, set, holder, NAP_MS);
    if (Atomics.compareExchange(locks, set, 0, mine) === 0) return true;
  }
  return false;
}

export function unlockSet({ locks }: ClientTable, set: number): void {
  Atomics.store(locks, set, 0);
}

/**
 * Gives back what a shard holds, and breaks the locks it left. For the control plane, when that shard's thread is
 * over and before its number is given to another: nobody may write its column any more. Walks the whole table.
 */
export function forfeitClients(table: ClientTable, shard: number): void {
  const { changed, held, locks, sets, shards } = table;
  for (let set = 0; set < sets; set++) {
    Atomics.compareExchange(locks, set, shard + 1, 0);
    for (let slot = set * WAYS; slot < (set + 1) * WAYS; slot++) {
      const at = slot * shards + shard;
      if (held[at] === 0) continue;
      Atomics.store(held, at, 0);
      Atomics.store(changed, set, 1);
    }
  }
}
