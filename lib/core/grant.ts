import { type Board, NO_GRANT } from './board.ts';

/**
 * Slots of a limit that holds over the cluster, as far as this instance has been granted them. The shards never take
 * more of a backend than the grant on the board says, with no word to anybody; the control plane asks for more and
 * gives back. Called by the main thread only.
 */

/** This instance may take so many slots in all, those already taken included. Sessions that wait get them within a tick. */
export function raiseGrant(board: Board, row: number, slots: number): void {
  Atomics.store(board.backendGrant, row, slots);
}

/**
 * This instance should do with `slots` in all. Returns what it must keep: as many as that, or as are taken just now.
 * The rest is nobody's from here on, and may be given to others.
 */
export function lowerGrant(board: Board, row: number, slots: number): number {
  // Store first, then look: a shard that takes a slot does the two in the other order, so one of them sees the other.
  Atomics.store(board.backendGrant, row, slots);
  return Math.max(slots, Atomics.load(board.backendSlots, row));
}

/** The limit of this backend does not hold over the cluster, or does no longer. */
export function endGrant(board: Board, row: number): void {
  Atomics.store(board.backendGrant, row, NO_GRANT);
}

/** How often sessions have passed the backend over since the last call, because the grant was used up. */
export function takeWants(board: Board, row: number): number {
  return Atomics.exchange(board.backendWants, row, 0);
}
