import type { Relay, RelayEnd, RelayHandler } from '../contract.ts';
import { SILENT } from '../silent.ts';
import { type EpollConnection, IS, type Mover, READ_OCTETS, READS } from './connection.ts';
import type { Loop } from './loop.ts';

/**
 * Moves bytes between two connections until both are closed; see `Transport.relay`. From the kernel into the inbox and
 * back into the kernel at once, or through the shard's pipe where there are many: it owns no buffer, and while nothing
 * moves it weighs no more than its fields.
 */
export class EpollRelay implements Relay, Mover {
  bytesFromFirst = 0;
  bytesFromSecond = 0;
  readonly #first: EpollConnection;
  readonly #second: EpollConnection;
  /** Null once the relay is over. */
  #handler: RelayHandler | null;
  readonly #loop: Loop;

  constructor(first: EpollConnection, second: EpollConnection, handler: RelayHandler, loop: Loop) {
    this.#first = first;
    this.#second = second;
    this.#handler = handler;
    this.#loop = loop;
    for (const side of [first, second]) {
      side.handler = SILENT;
      if (side.is(IS.CLOSED)) {
        loop.enqueue({ queued: false, advance: () => this.#broken(side), onFault() {} });
        continue;
      }
      side.mover = this;
      // What was paused before is paused no longer.
      side.state &= ~(IS.PAUSED | IS.OWES_DRAIN);
      loop.enqueue(side);
      if (side.is(IS.READ_ENDED)) this.#otherOf(side).end();
    }
  }

  keepAlive(): void {
    this.#first.keepAlive();
    this.#second.keepAlive();
  }

  destroy(): void {
    this.#handler = null;
    this.#first.release();
    this.#second.release();
  }

  /** One helping: at most one full read from `from`, or a few that are not. */
  advance(from: EpollConnection): void {
    const to = this.#otherOf(from);
    const { libc, pipe } = this.#loop;
    // A side that is broken has its own turn coming; until then nothing can be passed to it.
    let reads = 0;
    while (
      (from.state & (IS.READABLE | IS.READ_ENDED)) === IS.READABLE &&
      to.held === null &&
      !to.is(IS.CONNECTING | IS.BROKEN)
    ) {
      if (++reads > READS) return this.#loop.enqueue(from);
      // A plain read passes over an urgent octet, and the pipe does not.
      const isBulk = from.is(IS.BULK) && !from.is(IS.READ_ON);
      const most = isBulk ? pipe.helpingFor(to.descriptor) : READ_OCTETS;
      const count = isBulk ? pipe.fill(from.descriptor, most) : libc.receive(from.descriptor, most);
      if (count > 0) {
        this.#count(from, count);
        // The pipe may have been full: only the next look tells that there is nothing left.
        if (count < most && !isBulk && !from.is(IS.READ_ON)) from.state &= ~IS.READABLE;
        const whole = isBulk ? this.#passOn(to, count) : this.#pass(to, count);
        if (count < most) {
          if (count < READ_OCTETS) from.state &= ~IS.BULK;
        } else if (whole) {
          from.state |= IS.BULK;
          return this.#loop.enqueue(from);
        }
      } else if (isBulk && count === 0) {
        from.state |= IS.READ_ON; // the end, or urgent data that lies before it
      } else if (!from.readStops(count)) {
        return;
      } else if (from.is(IS.READ_ENDED)) {
        to.end();
      }
    }
    if (from.is(IS.BROKEN)) return this.#broken(from);
    if (closedBothWays(from) && closedBothWays(to)) this.#over('ended');
  }

  /** `to` has room again: on with what the other side has to say. */
  drained(to: EpollConnection): void {
    const from = this.#otherOf(to);
    if (!from.queued) from.advance();
  }

  /** Gives `count` octets of the inbox to `to`; false where not all of them went to the kernel. */
  #pass(to: EpollConnection, count: number): boolean {
    if (to.is(IS.SHUT | IS.ENDING)) return true; // told its end before the relay began: there is nobody to pass it to
    const { libc } = this.#loop;
    const sent = libc.sendInbox(to.descriptor, 0, count);
    if (sent === count) return true;
    if (sent >= 0 || to.takesLater(sent)) to.hold(libc.inbox.subarray(0, count), Math.max(0, sent));
    return false;
  }

  /** As `#pass`, from the pipe. */
  #passOn(to: EpollConnection, count: number): boolean {
    const { pipe } = this.#loop;
    const isHeard = !to.is(IS.SHUT | IS.ENDING);
    const sent = isHeard ? pipe.empty(to.descriptor, count) : 0;
    if (sent === count) return true;
    const rest = pipe.rest(count - Math.max(0, sent));
    if (isHeard && (sent >= 0 || to.takesLater(sent))) to.hold(rest, 0);
    return !isHeard;
  }

  #count(from: EpollConnection, count: number): void {
    if (from === this.#first) this.bytesFromFirst += count;
    else this.bytesFromSecond += count;
  }

  #otherOf(side: EpollConnection): EpollConnection {
    return side === this.#first ? this.#second : this.#first;
  }

  #broken(side: EpollConnection): void {
    if (this.#handler === null) return;
    const other = this.#otherOf(side);
    // Many a client closes for good after QUIT without reading the goodbye: once the other side has ended, a reset
    // harms nobody.
    const harmless = other.is(IS.READ_ENDED);
    other.reset();
    this.#over(harmless ? 'ended' : side === this.#first ? 'first-reset' : 'second-reset');
  }

  #over(end: RelayEnd): void {
    const handler = this.#handler;
    this.destroy();
    try {
      handler?.onRelayEnd(end);
    } catch (error) {
      this.#loop.onError(error);
    }
  }
}

function closedBothWays(side: EpollConnection): boolean {
  return side.is(IS.READ_ENDED) && side.is(IS.SHUT);
}
