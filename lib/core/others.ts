import type { Board } from './board.ts';
import { OTHERS_BELIEVED_MS, OTHERS_FORGOTTEN_MS } from './limits.ts';

/**
 * What the other instances of the cluster have at the backends, on the board. The control plane writes it whenever it
 * hears from them, and the shards read it for every session. Such counts are always a little old: what an instance
 * makes of that is in `balancer/least-connections.ts`.
 */
export interface OthersAtBackend {
  /** The backend's row on the board. */
  readonly row: number;
  /** Sessions that all other instances together have there, 0 or more. */
  readonly sessions: number;
  /** Sessions that they begin there a second, 0 or more; fractions count to a thousandth. */
  readonly sessionsPerSecond: number;
}

const MOST = 2 ** 31 - 1;

/**
 * Writes what the other instances have, for all rows that are listed; others are left as they are, so a backend that
 * nobody has any longer is to be listed with zeroes. `ageMs` says how old the counts are on the average, from the
 * moment they were true at their instances; they grow older from here on by themselves. Called by the main thread only.
 * What is no number, or negative, counts as nothing.
 */
export function applyOthers(
  board: Board,
  others: Iterable<OthersAtBackend>,
  ageMs: number,
  nowMs: number,
): void {
  for (const { row, sessions, sessionsPerSecond } of others) {
    Atomics.store(board.backendOthers, row, count(sessions));
    Atomics.store(board.backendOthersRate, row, count(sessionsPerSecond * 1_000));
  }
  board.othersAtMs[0] = nowMs - Math.max(ageMs, 0);
}

function count(value: number): number {
  return value > 0 ? Math.min(Math.round(value), MOST) : 0;
}

/** Milliseconds since the others' counts were true; Infinity where none were ever heard. */
export function ageOfOthersMs(board: Board, nowMs: number): number {
  const atMs = board.othersAtMs[0] as number;
  return atMs === 0 ? Number.POSITIVE_INFINITY : Math.max(nowMs - atMs, 0);
}

/** How far counts of this age are believed: 1 while they are fresh, 0 when they are too old, even steps between. */
export function beliefInOthers(ageMs: number): number {
  const left = (OTHERS_FORGOTTEN_MS - ageMs) / (OTHERS_FORGOTTEN_MS - OTHERS_BELIEVED_MS);
  return Math.min(Math.max(left, 0), 1);
}
