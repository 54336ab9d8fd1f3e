import { AGAIN, type Result } from '../linux/errno.ts';
import type { Pipe } from '../linux/pipe.ts';
import type { UringConnection } from './connection.ts';

/** A read of so many octets is part of a bulk transfer. */
export const BULK_OCTETS = 32_768;
/** Reads of one bulk transfer before the others have their turn. */
const READS = 8;

/**
 * How a turn of a bulk transfer ended: nothing is left to read for now; nothing was, and little before, so that it seems
 * to be over; the peer takes no more; others have their turn; or what the last read said (below zero: an error).
 */
export type PumpEnd = 'dry' | 'over' | 'stalled' | 'turn-over' | Result;

/**
 * Moves the bytes of a bulk transfer directly, helping by helping, through the one pipe of the shard: many octets at a
 * time are cheaper so than by way of the ring, which only says when there is something. Nothing of either connection may
 * be under way in the ring.
 */
export function pump(pipe: Pipe, from: UringConnection, to: UringConnection): PumpEnd {
  const before = from.relayed;
  for (let read = 0; read < READS; read++) {
    const most = pipe.helpingFor(to.descriptor);
    const length = pipe.fill(from.descriptor, most);
    // The end may lie behind urgent data, which the pipe does not pass over: a plain read will tell.
    if (length === 0 || length === AGAIN) break;
    if (length < 0) return length;
    from.relayed += length;
    if (!to.sendNow(length)) return 'stalled';
    if (length < BULK_OCTETS && length < most) break;
    if (read === READS - 1) return 'turn-over';
  }
  return from.relayed - before < BULK_OCTETS ? 'over' : 'dry';
}
