import { AGAIN, type Result } from '../linux/errno.ts';
import type { Libc } from '../linux/libc.ts';
import type { UringConnection } from './connection.ts';

/** A read of so many octets is part of a bulk transfer. */
export const BULK_OCTETS = 32_768;
/** Reads of one bulk transfer before the others have their turn. */
const READS = 8;
const READ_OCTETS = 262_144;

/**
 * How a turn of a bulk transfer ended: nothing is left to read, the peer takes no more, others have their turn, or what
 * the last read said (0: the end; below zero: an error).
 */
export type PumpEnd = 'dry' | 'stalled' | 'turn-over' | Result;

/**
 * Moves the bytes of a bulk transfer directly, read by read: many octets at a time are cheaper so than by way of the
 * ring, which would hand them over as they trickle in. Nothing of either connection may be under way in the ring.
 */
export function pump(libc: Libc, from: UringConnection, to: UringConnection): PumpEnd {
  for (let read = 0; read < READS; read++) {
    const length = libc.receive(from.descriptor, READ_OCTETS);
    if (length <= 0) return length === AGAIN ? 'dry' : length;
    from.relayed += length;
    if (!to.sendNow(length)) return 'stalled';
    if (length < BULK_OCTETS) return 'dry';
  }
  return 'turn-over';
}
