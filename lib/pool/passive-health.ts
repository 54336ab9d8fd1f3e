import type { Board } from '../core/board.ts';
import type { PassiveHealthOptions } from './snapshot.ts';

/**
 * Passive health: what sessions themselves learn of a backend. After a few failures in a row it is left alone
 * ("ejected") for a pause; then one session tries it, and either it is back or the next pause is twice as long.
 * The state is on the board, so all shards leave a dead backend together.
 */
export type Standing = 'trusted' | 'ejected' | 'due';

/** What passive health says now. `due`: its pause is over, and one session may try. */
export function standing(board: Board, row: number, nowMs: number): Standing {
  const retryAtMs = board.backendRetryAtMs[row] as number;
  if (retryAtMs === 0) return 'trusted';
  return nowMs < retryAtMs ? 'ejected' : 'due';
}

/** A session is about to try a backend that is `due`: others stay away until its outcome is known, or a pause long. */
export function beginTrial(board: Board, row: number, nowMs: number, options: PassiveHealthOptions): void {
  board.backendRetryAtMs[row] = nowMs + pauseMs(Atomics.load(board.backendEjections, row), options);
}

/** The backend greeted. Returns whether it had been ejected and is back. */
export function recordSuccess(board: Board, row: number): boolean {
  if (Atomics.load(board.backendFailures, row) === 0) return false;
  Atomics.store(board.backendFailures, row, 0);
  Atomics.store(board.backendEjections, row, 0);
  const wasEjected = board.backendRetryAtMs[row] !== 0;
  board.backendRetryAtMs[row] = 0;
  return wasEjected;
}

/**
 * The backend failed a session that had been given it at `pickedAtMs`. Returns the pause in milliseconds if that
 * ejects it (again), else 0. Sessions picked before an ejection say nothing new when they fail too: only a trial,
 * which is picked after it, makes the next pause longer.
 */
export function recordFailure(
  board: Board,
  row: number,
  pickedAtMs: number,
  nowMs: number,
  options: PassiveHealthOptions,
): number {
  const failures = Atomics.add(board.backendFailures, row, 1) + 1;
  if (failures < options.failures) return 0;
  const ejected = board.backendRetryAtMs[row] !== 0;
  if (ejected && pickedAtMs < (board.backendEjectedAtMs[row] as number)) return 0;
  const ejections = Atomics.add(board.backendEjections, row, 1) + 1;
  const pause = pauseMs(ejections, options);
  board.backendEjectedAtMs[row] = nowMs;
  board.backendRetryAtMs[row] = nowMs + pause;
  return pause;
}

function pauseMs(ejections: number, options: PassiveHealthOptions): number {
  const doublings = Math.min(Math.max(ejections - 1, 0), 30);
  return Math.min(options.pauseMs * 2 ** doublings, options.maxPauseMs);
}
