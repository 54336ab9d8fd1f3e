/** Finding and giving out the slots of a client table. All of it is for who holds the lock of the set. */
import type { ClientKey } from './client-key.ts';
import { type ClientTable, WAYS } from './client-table.ts';

/** The client's slot, or -1 where it is not remembered. */
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
 * owes least, whose rate then starts anew. -1 where each has sessions.
 */
export function claimSlot(
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
