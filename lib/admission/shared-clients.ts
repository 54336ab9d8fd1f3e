/** What the control plane takes from a client table for other instances, and writes there of what it heard of them. */
import { type ClientKey, createClientKey } from './client-key.ts';
import { findSlot, markOf, sessionsAt, setOf } from './client-slots.ts';
import { type ClientTable, lockSet, unlockSet, WAYS } from './client-table.ts';

/** What one client has here. */
export interface ClientUse {
  readonly key: ClientKey;
  /** Sessions at this instance. */
  readonly sessions: number;
  /** Sessions let in since they were last told; `takeUse` makes this 0. */
  readonly untold: number;
  /** Milliseconds until its past sessions are paid off, as far as this instance knows. */
  readonly owedMs: number;
}

/** Sets in which a session came or left since the last call; they count as looked at from now on. */
export function takeChangedSets({ changed, sets }: ClientTable): number[] {
  const found: number[] = [];
  for (let set = 0; set < sets; set++) {
    if (Atomics.load(changed, set) !== 0 && Atomics.exchange(changed, set, 0) !== 0) found.push(set);
  }
  return found;
}

const seen = new Int32Array(WAYS * 3);
const owed = new Float64Array(WAYS);

/** The clients of a set that have sessions here or owe something. Empty, for now, where the set is locked. */
export function readSet(table: ClientTable, set: number, nowMs: number): ClientUse[] {
  if (!lockSet(table, set)) {
    Atomics.store(table.changed, set, 1);
    return [];
  }
  // Nothing is allocated while shards may wait for the lock.
  let count = 0;
  for (let slot = set * WAYS; slot < (set + 1) * WAYS; slot++) {
    const sessions = table.marks[slot] === 0 ? 0 : sessionsAt(table, slot);
    const owedMs = table.marks[slot] === 0 ? 0 : (table.paidOffAtMs[slot] as number) - nowMs;
    if (sessions === 0 && owedMs <= 0) continue;
    seen[count * 3] = slot;
    seen[count * 3 + 1] = sessions;
    seen[count * 3 + 2] = table.untold[slot] as number;
    owed[count++] = owedMs;
  }
  unlockSet(table, set);
  return Array.from({ length: count }, (_, at) => ({
    key: keyAt(table, seen[at * 3] as number),
    sessions: seen[at * 3 + 1] as number,
    untold: seen[at * 3 + 2] as number,
    owedMs: Math.max(0, owed[at] as number),
  }));
}

/** Read without the lock: should the slot have changed hands since, `takeUse` finds nobody by this key, or the new client. */
function keyAt(table: ClientTable, slot: number): ClientKey {
  const key = createClientKey();
  for (let at = 0; at < 4; at++) key.words[at] = table.words[slot * 4 + at] as number;
  key.kind = table.kinds[slot] as number;
  return key;
}

/** What the client has now; its untold sessions count as told. Null where it is not remembered. */
export function takeUse(table: ClientTable, key: ClientKey, nowMs: number): ClientUse | null {
  const mark = markOf(table, key);
  const set = setOf(table, mark);
  if (!lockSet(table, set)) return null;
  const slot = findSlot(table, set, mark, key);
  const sessions = slot < 0 ? 0 : sessionsAt(table, slot);
  const untold = slot < 0 ? 0 : (table.untold[slot] as number);
  const owedMs = slot < 0 ? 0 : Math.max(0, (table.paidOffAtMs[slot] as number) - nowMs);
  if (slot >= 0) table.untold[slot] = 0;
  unlockSet(table, set);
  return slot < 0 ? null : { key, sessions, untold, owedMs };
}

/**
 * Writes what others have of a client: their sessions, and when all that is known of will be paid off (monotonic ms;
 * what was let in here and is not told yet comes on top, at `costMs` each). A debt never shrinks by it.
 */
export function learnUse(
  table: ClientTable,
  key: ClientKey,
  sessions: number,
  paidOffAtMs: number,
  costMs: number,
): void {
  const mark = markOf(table, key);
  const set = setOf(table, mark);
  if (!lockSet(table, set)) return;
  const slot = findSlot(table, set, mark, key);
  if (slot >= 0) {
    table.others[slot] = sessions;
    const allMs = paidOffAtMs + (table.untold[slot] as number) * costMs;
    if (allMs > (table.paidOffAtMs[slot] as number)) table.paidOffAtMs[slot] = allMs;
  }
  unlockSet(table, set);
}

/** Others' sessions are not known any more. What was paid stays paid. */
export function forgetOthers(table: ClientTable, key: ClientKey): void {
  learnUse(table, key, 0, 0, 0);
}
