import type { Board } from '../core/board.ts';
import type { BackendSnapshot } from './snapshot.ts';

/** A backend that has just come back gets this share of its sessions at first. */
const FIRST_SHARE = 0.05;

/**
 * The backend with the weight that it deserves now: `slowStart` after it came back its own, before that a share that
 * grows evenly. Caches are cold and queues are long on a mail server that has just started.
 */
export function rampedUp(
  backend: BackendSnapshot,
  slowStartMs: number,
  board: Board,
  nowMs: number,
): BackendSnapshot {
  const backSinceMs = board.backendBackSinceMs[backend.row] as number;
  const elapsedMs = nowMs - backSinceMs;
  if (backSinceMs === 0 || elapsedMs >= slowStartMs) return backend;
  return { ...backend, weight: backend.weight * Math.max(elapsedMs / slowStartMs, FIRST_SHARE) };
}

/** The backend takes sessions again after it did not: because of checks, of failures, or of the operator. */
export function recordReturn(board: Board, row: number, nowMs: number): void {
  board.backendBackSinceMs[row] = nowMs;
}
