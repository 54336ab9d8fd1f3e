/** Finding, giving out and counting in the slots of a client table. */
import { type ClientKey, hashClient } from './client-key.ts';
import { type ClientTable, lockSet, unlockSet, WAYS } from './client-table.ts';

/** What one client may have. */
export interface Bounds {
  /** Sessions at a time; Infinity for no bound. */
  readonly connections: number;
  /** Milliseconds that a session costs, and that may be owed; both 0 for no bound. */
  readonly costMs: number;
  readonly burstMs: number;
}

export const TOO_MANY = -1;
export const TOO_FAST = -2;

/**
 * Counts a session of the client in. Returns its slot, or why it may not come in. TOO_MANY also where there is no
 * place for another client, and where the set is locked for good.
 */
export function enterTable(table: ClientTable, key: ClientKey, bounds: Bounds, nowMs: number): number {
  const mark = markOf(table, key);
  const set = setOf(table, mark);
  if (!lockSet(table, set)) return TOO_MANY;
  const slot = enterSet(table, set, mark, key, bounds, nowMs);
  unlockSet(table, set);
  if (slot >= 0) Atomics.store(table.changed, set, 1);
  return slot;
}

/** What is written at the client's slot; never 0. */
export function markOf(table: ClientTable, key: ClientKey): number {
  const hash = hashClient(key, table.seed0, table.seed1);
  return hash === 0 ? 1 : hash;
}

/** Where the client is, if it is anywhere. */
export function setOf(table: ClientTable, mark: number): number {
  return mark & (table.sets - 1);
}

/** As `enterTable`, for who holds the lock. Nothing but stores between the last check and the end. */
function enterSet(
  table: ClientTable,
  set: number,
  mark: number,
  key: ClientKey,
  { connections, costMs, burstMs }: Bounds,
  nowMs: number,
): number {
  const { held, others, paidOffAtMs, shard, shards, untold } = table;
  let slot = findSlot(table, set, mark, key);
  let paidOffMs = nowMs;
  if (slot >= 0) {
    if (sessionsAt(table, slot) + (others[slot] as number) >= connections) return TOO_MANY;
    paidOffMs = Math.max(paidOffAtMs[slot] as number, nowMs);
  } else if (connections < 1) return TOO_MANY;
  if (paidOffMs + costMs - nowMs > burstMs) return TOO_FAST;
  if (slot < 0) slot = claimSlot(table, set, mark, key, nowMs);
  if (slot < 0) return TOO_MANY;
  paidOffAtMs[slot] = paidOffMs + costMs;
  untold[slot] = (untold[slot] as number) + 1;
  held[slot * shards + shard] = (held[slot * shards + shard] as number) + 1;
  return slot;
}

/** The client's slot, or -1 where it is not remembered. For who holds the lock. */
export function findSlot(table: ClientTable, set: number, mark: number, { words, kind }: ClientKey): number {
  const { marks, kinds, words: known } = table;
  const first = set * WAYS;
  for (let slot = first; slot < first + WAYS; slot++) {
    if (marks[slot] !== mark || kinds[slot] !== kind) continue;
    const at = slot * 4;
    if (
      known[at + 3] === words[3] &&
      known[at] === words[0] &&
      known[at + 1] === words[1] &&
      known[at + 2] === words[2]
    )
      return slot;
  }
  return -1;
}

/**
 * A slot for a new client: a free one, or that of a client without sessions who owes nothing, or else the one that
 * owes least, whose rate then starts anew. -1 where each has sessions. For who holds the lock.
 */
function claimSlot(
  table: ClientTable,
  set: number,
  mark: number,
  { words, kind }: ClientKey,
  nowMs: number,
): number {
  const slot = spareSlot(table, set, nowMs);
  if (slot < 0) return -1;
  const { held, kinds, marks, others, paidOffAtMs, shards, untold, words: known } = table;
  marks[slot] = 0;
  for (let at = 0; at < 4; at++) known[slot * 4 + at] = words[at] as number;
  kinds[slot] = kind;
  others[slot] = 0;
  untold[slot] = 0;
  paidOffAtMs[slot] = 0;
  for (let shard = 0; shard < shards; shard++) held[slot * shards + shard] = 0;
  // Last: from here on it is somebody's.
  marks[slot] = mark;
  return slot;
}

function spareSlot({ held, marks, paidOffAtMs, shards }: ClientTable, set: number, nowMs: number): number {
  const first = set * WAYS;
  let [spare, leastMs] = [-1, Number.POSITIVE_INFINITY];
  for (let slot = first; slot < first + WAYS; slot++) {
    if (marks[slot] === 0) return slot;
    const owedMs = paidOffAtMs[slot] as number;
    if (owedMs >= leastMs || sumOf(held, slot, shards) > 0) continue;
    if (owedMs <= nowMs) return slot;
    [spare, leastMs] = [slot, owedMs];
  }
  return spare;
}

/** Sessions of a client over all shards of this instance. */
export function sessionsAt({ held, shards }: ClientTable, slot: number): number {
  return sumOf(held, slot, shards);
}

function sumOf(held: Int32Array, slot: number, shards: number): number {
  let sum = 0;
  for (let at = slot * shards; at < (slot + 1) * shards; at++) sum += held[at] as number;
  return sum;
}
