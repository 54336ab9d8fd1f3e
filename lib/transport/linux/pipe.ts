import { CLOSED, type DescriptorHolder, type DescriptorTable } from './descriptor.ts';
import { type Result, systemError } from './errno.ts';
import { ARENA } from './layout.ts';
import type { Libc } from './libc.ts';

/** Octets the pipe is asked to hold. Where the kernel does not grant them it holds less, and takes less at a time. */
const PIPE_OCTETS = 1_048_576;
/** Octets of a helping. */
const LEAST_OCTETS = 4_096;
const MOST_OCTETS = ARENA.INBOX_OCTETS;

/**
 * A pipe of the shard's own, by which octets go from one socket to another without being copied (splice(2)). It is empty
 * between two transfers: what the second socket does not take is taken out again. So one pipe serves all connections,
 * and none of them waits for another.
 */
export class Pipe {
  readonly #libc: Libc;
  readonly #out: DescriptorHolder = { descriptor: CLOSED, generation: 0 };
  readonly #into: DescriptorHolder = { descriptor: CLOSED, generation: 0 };

  /** Throws a system error where the kernel refuses. */
  constructor(libc: Libc, table: Pick<DescriptorTable<DescriptorHolder>, 'adopt'>) {
    this.#libc = libc;
    const made = libc.pipe(PIPE_OCTETS);
    if (typeof made === 'number') throw systemError('pipe2', made, 'for a shard');
    table.adopt(this.#out, made.out);
    table.adopt(this.#into, made.into);
  }

  /**
   * Octets to take at a time for a socket: as many as it has room for, within bounds. What it does not take must be held
   * for it, so that a session whose sender is faster than its receiver would cost memory for as long as it lasts.
   */
  helpingFor(descriptor: number): number {
    return Math.min(Math.max(this.#libc.room(descriptor), LEAST_OCTETS), MOST_OCTETS);
  }

  /**
   * Takes what a socket has received, at most `most` octets; as `Libc.receive`, but that it never passes over an urgent
   * octet: before one it says `AGAIN`, or 0 where the peer has closed its direction, whatever lies behind. Next comes `empty`.
   */
  fill(descriptor: number, most: number): Result {
    return this.#libc.splice(descriptor, this.#into.descriptor, most);
  }

  /** Sends all that is in it, `length` octets; as `Libc.send`. If fewer were sent, `rest` comes next. */
  empty(descriptor: number, length: number): Result {
    return this.#libc.splice(this.#out.descriptor, descriptor, length);
  }

  /** Takes out the `length` octets that are left in it, a copy. `length`: what the inbox holds at most. */
  rest(length: number): Buffer {
    const octets = Buffer.allocUnsafe(length);
    for (let taken = 0; taken < length; ) {
      const count = this.#libc.readPipe(this.#out.descriptor, length - taken);
      // What it holds it gives, at once.
      if (count <= 0) throw new Error(`a pipe holds ${taken} octets and not ${length}`);
      octets.set(this.#libc.inbox.subarray(0, count), taken);
      taken += count;
    }
    return octets;
  }
}
