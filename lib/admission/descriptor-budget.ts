import { readdirSync, readFileSync } from 'node:fs';
import { type Board, giveBack, take } from '../core/board.ts';
import { RESERVED_DESCRIPTORS } from '../core/limits.ts';

/** A session's own: the client's socket, and the backend's that it will need. */
const SESSION_DESCRIPTORS = 2;

/**
 * Keeps the process from ever running out of file descriptors, because by then it is too late to say so: at EMFILE
 * Node accepts and closes connections in silence. Sessions take their descriptors from a budget that ends well before
 * the limit; beyond it a client is accepted on one of the reserved descriptors, hears 421, and leaves, at the latest
 * when others need its place.
 */
export interface DescriptorBudget {
  /** Takes a session's descriptors; null where the budget is spent. */
  enter(): DescriptorHold | null;
  /**
   * Takes a descriptor of the shard's reserve, for a refused client that is given time to read. Where all are taken,
   * the client that has had one for longest is told to `leave`, which has to give it back at once.
   */
  linger(leave: () => void): DescriptorHold;
  /** Takes one for a connection that nobody waits for yet; false while less than a quarter of the budget is free. */
  spare(): boolean;
  spared(): void;
  /** Less than an eighth of the budget is free: what nobody waits for is to be given back. */
  readonly isScarce: boolean;
}

/** What is held of the budget; given back once. */
export interface DescriptorHold {
  giveBack(): void;
}

/** Clients of one shard that may be reading their refusal at a time. */
const LINGERING = RESERVED_DESCRIPTORS / 2;

/** `descriptors` is what sessions of all shards may use together, from `sessionDescriptors`. */
export function createDescriptorBudget(board: Board, descriptors: number): DescriptorBudget {
  const lingering = new Set<() => void>();
  // All sessions hold the same: there are thousands of them.
  const ofSession: DescriptorHold = {
    giveBack: () => giveBack(board.descriptors, 0, SESSION_DESCRIPTORS),
  };
  return {
    enter: () => (take(board.descriptors, 0, descriptors, SESSION_DESCRIPTORS) ? ofSession : null),
    linger(leave) {
      // Who is closed within the callback in which he is accepted has sent what nobody has read, if he speaks early:
      // the close is a reset then, and takes the refusal with it.
      const [oldest] = lingering;
      if (lingering.size === LINGERING) oldest?.();
      lingering.add(leave);
      return { giveBack: () => void lingering.delete(leave) };
    },
    spare: () => take(board.descriptors, 0, descriptors * 0.75),
    spared: () => giveBack(board.descriptors, 0),
    get isScarce() {
      return Atomics.load(board.descriptors, 0) > descriptors * 0.875;
    },
  };
}

/**
 * Descriptors that sessions may use: the process's limit, less those open now, less `others` (what the control plane
 * may still open), less the reserve of each shard. Infinity where the system does not tell; zero or less where the limit is too
 * small to serve anybody.
 */
export function sessionDescriptors(others: number, shards: number): number {
  const limits = attempt(() => readFileSync('/proc/self/limits', 'latin1'));
  const open = attempt(() => readdirSync('/proc/self/fd').length);
  const soft = /^Max open files\s+(\d+)/m.exec(limits ?? '')?.[1];
  if (soft === undefined || open === undefined) return Number.POSITIVE_INFINITY;
  return Number(soft) - open - others - shards * RESERVED_DESCRIPTORS;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined; // not Linux
  }
}
