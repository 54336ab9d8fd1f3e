import type { Address } from '../../core/address.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../contract.ts';
import { CLOSED, type DescriptorOwner } from '../linux/descriptor.ts';
import { AGAIN, dialReason, INTERRUPTED, isShortage } from '../linux/errno.ts';
import { EPOLL } from '../linux/layout.ts';
import { NAMELESS } from '../linux/sockaddr.ts';
import { setKeepAlive } from '../linux/tcp-options.ts';
import { SILENT } from '../silent.ts';
import type { Loop, Ready } from './loop.ts';

/** What is known of a connection: one small integer, since there are many connections. */
export const IS = {
  /** Dialled, and not established yet. */
  CONNECTING: 1 << 0,
  /** There may be something to read: epoll tells this once, so it is remembered until a read finds nothing. */
  READABLE: 1 << 1,
  /** A read that gives less than was asked for does not mean that nothing is left: an end or urgent data lies behind. */
  READ_ON: 1 << 2,
  PAUSED: 1 << 3,
  /** The peer's end was read. */
  READ_ENDED: 1 << 4,
  /** Our direction is to be closed, after what is held. */
  ENDING: 1 << 5,
  /** Our direction is closed. */
  SHUT: 1 << 6,
  /** The kernel has given the connection up, or the peer has reset it: what was received before may still be read. */
  BROKEN: 1 << 7,
  /** `write` said false. */
  OWES_DRAIN: 1 << 8,
  /** Descriptor and handler are gone. */
  CLOSED: 1 << 9,
  /** The kernel looks whether its peer is still there. */
  KEPT_ALIVE: 1 << 10,
  /** Gives much at a time: its relay moves it through the shard's pipe. */
  BULK: 1 << 11,
} as const;

/** Everything is told at once when it is watched, and then only what is new. */
export const WATCHED = EPOLL.IN | EPOLL.OUT | EPOLL.RDHUP | EPOLL.PRI | EPOLL.EDGE;

const READ_EVENTS = EPOLL.IN | EPOLL.PRI | EPOLL.RDHUP | EPOLL.HUP | EPOLL.ERR;
const READ_ON_EVENTS = EPOLL.PRI | EPOLL.RDHUP | EPOLL.HUP | EPOLL.ERR;

/** Octets read at a time; after so many a session waits for its next turn. */
export const READ_OCTETS = 65_536;
/** The same for reads that gave less: a sender of urgent data has us read on (`READ_ON`) for as long as he likes. */
export const READS = 16;

/** Whoever moves a connection's bytes instead of its handler. */
export interface Mover {
  /** Something has changed: see to it. */
  advance(connection: EpollConnection): void;
  /** All that was held has been sent. */
  drained(connection: EpollConnection): void;
}

/** One socket behind the contract. What is public beyond the contract is the transport's own. */
export class EpollConnection implements Connection, DescriptorOwner, Ready {
  descriptor = CLOSED;
  generation = 0;
  queued = false;
  /** Of `IS`. */
  state: number;
  handler: ConnectionHandler;
  readonly remote: Address;
  /** What the kernel did not take, in order; null where it took all. */
  held: Uint8Array[] | null = null;
  mover: Mover | null = null;
  readonly loop: Loop;

  constructor(loop: Loop, remote: Address, handler: ConnectionHandler, state: number) {
    this.loop = loop;
    this.remote = remote;
    this.handler = handler;
    this.state = state;
  }

  get local(): Address {
    return this.loop.libc.localAddress(this.descriptor) ?? NAMELESS;
  }

  get peerEnded(): boolean {
    return this.is(IS.READ_ENDED);
  }

  is(state: number): boolean {
    return (this.state & state) !== 0;
  }

  write(bytes: Uint8Array): boolean {
    if (this.is(IS.ENDING | IS.SHUT | IS.BROKEN | IS.CLOSED) || bytes.length === 0) return true;
    if (this.held === null && !this.is(IS.CONNECTING)) {
      const sent = this.loop.libc.send(this.descriptor, bytes);
      if (sent === bytes.length) return true;
      if (sent < 0 && !this.takesLater(sent)) return true; // it is over, and `onClose` will say so
      this.hold(bytes, Math.max(0, sent));
    } else {
      this.hold(bytes, 0);
    }
    this.state |= IS.OWES_DRAIN;
    return false;
  }

  /** Keeps a copy of `bytes` from `from` on until the kernel takes it. */
  hold(bytes: Uint8Array, from: number): void {
    const copy = Buffer.allocUnsafeSlow(bytes.length - from);
    copy.set(from === 0 ? bytes : bytes.subarray(from));
    if (this.held === null) this.held = [copy];
    else this.held.push(copy);
  }

  pause(): void {
    this.state |= IS.PAUSED;
  }

  resume(): void {
    this.state &= ~IS.PAUSED;
    if (this.is(IS.READABLE)) this.loop.enqueue(this);
  }

  keepAlive(): void {
    if (this.is(IS.KEPT_ALIVE | IS.CLOSED)) return;
    this.state |= IS.KEPT_ALIVE;
    if (this.remote.family !== 'unix') setKeepAlive(this.loop.libc, this.descriptor, this.loop.tcp);
  }

  end(): void {
    if (this.is(IS.ENDING | IS.SHUT | IS.BROKEN | IS.CLOSED)) return;
    this.state &= ~IS.OWES_DRAIN; // nobody writes any more
    if (this.held !== null || this.is(IS.CONNECTING)) this.state |= IS.ENDING;
    else this.#shut();
  }

  destroy(): void {
    this.release();
  }

  reset(): void {
    // A socket that still dials has nobody to reset, and a Unix socket knows no RST.
    if (!this.is(IS.CONNECTING | IS.CLOSED) && this.remote.family !== 'unix')
      this.loop.libc.setAbortive(this.descriptor);
    this.release();
  }

  /** Closes the socket and forgets everybody; nothing is told. */
  release(): void {
    this.state = IS.CLOSED;
    this.handler = SILENT;
    this.mover = null;
    this.held = null;
    this.loop.table.close(this);
  }

  /** The connection is over; the handler is told, if it has not let go. */
  over(reason: CloseReason): void {
    if (this.is(IS.CLOSED)) return;
    const { handler } = this;
    this.release();
    try {
      handler.onClose(reason);
    } catch (error) {
      this.loop.onError(error);
    }
  }

  onEvents(events: number): void {
    if (this.is(IS.CONNECTING) && !this.#established(events)) return;
    if ((events & READ_EVENTS) !== 0) {
      this.state |= IS.READABLE;
      if ((events & READ_ON_EVENTS) !== 0) this.state |= IS.READ_ON;
      if ((events & EPOLL.ERR) !== 0) this.state |= IS.BROKEN;
    }
    if ((events & EPOLL.OUT) !== 0 && this.held !== null) this.#flush();
    if (!this.queued) this.advance();
  }

  advance(): void {
    if (this.is(IS.CLOSED)) return;
    if (this.mover !== null) this.mover.advance(this);
    else this.#read();
  }

  /** Reads for the handler, until nothing is left, or it has had its share of this turn. */
  #read(): void {
    const { libc } = this.loop;
    for (
      let reads = 1;
      (this.state & (IS.READABLE | IS.PAUSED | IS.READ_ENDED | IS.CONNECTING)) === IS.READABLE;
      reads++
    ) {
      const count = libc.receive(this.descriptor, READ_OCTETS);
      if (count > 0) {
        if (count < READ_OCTETS && !this.is(IS.READ_ON)) this.state &= ~IS.READABLE;
        this.#tellBytes(libc.inbox.subarray(0, count));
        if (this.is(IS.CLOSED) || this.mover !== null) return;
        if (count === READ_OCTETS || reads === READS) return this.loop.enqueue(this);
      } else if (!this.readStops(count)) {
        return;
      } else if (this.is(IS.READ_ENDED)) {
        this.#tell('onEnd');
        if (this.is(IS.CLOSED) || this.mover !== null) return;
      }
    }
    this.#settle();
  }

  /**
   * A read gave nothing: the end, an error, or "not now". False where it is to be tried again in a moment, and
   * nothing is to be done now.
   */
  readStops(count: number): boolean {
    if (count === INTERRUPTED) return true;
    if (isShortage(count)) {
      this.loop.retrySoon(this);
      return false;
    }
    this.state &= ~IS.READABLE;
    if (count === 0) this.state |= IS.READ_ENDED;
    else if (count !== AGAIN) this.state |= IS.BROKEN;
    return true;
  }

  /** Whether what a failed send left is worth another one later; otherwise the connection is broken. */
  takesLater(result: number): boolean {
    if (result === AGAIN) return true;
    if (isShortage(result) || result === INTERRUPTED) {
      this.loop.retrySoon(new Flush(this));
      return true;
    }
    this.break();
    return false;
  }

  /** A send has failed for good. What the peer said before is read first. */
  break(): void {
    this.state |= IS.BROKEN | IS.READABLE | IS.READ_ON;
    this.held = null;
    this.loop.enqueue(this);
  }

  /** Bytes moved by a fault of ours are not to be trusted any more: nothing is read again. */
  onFault(): void {
    if (this.is(IS.CLOSED)) return;
    this.state = (this.state & ~(IS.READABLE | IS.CONNECTING)) | IS.BROKEN;
    this.loop.enqueue(this);
  }

  #settle(): void {
    // While it is paused nobody would read what is left before the reset: better told late than never.
    if (this.is(IS.BROKEN)) return this.over('reset');
    if (this.is(IS.READ_ENDED) && this.is(IS.SHUT)) this.over('ended');
  }

  /** Sends what is held, as far as the kernel takes it. */
  flush(): void {
    if (this.held !== null && !this.is(IS.CLOSED | IS.CONNECTING)) this.#flush();
  }

  #flush(): void {
    const held = this.held as Uint8Array[];
    let first = 0;
    for (; first < held.length; first++) {
      const bytes = held[first] as Uint8Array;
      const sent = this.loop.libc.send(this.descriptor, bytes);
      if (sent === bytes.length) continue;
      if (sent < 0 && !this.takesLater(sent)) return;
      if (sent > 0) held[first] = bytes.subarray(sent);
      break;
    }
    if (first < held.length) {
      held.splice(0, first);
      return;
    }
    this.held = null;
    if (this.is(IS.ENDING)) this.#shut();
    if (this.mover !== null) this.mover.drained(this);
    else if (this.is(IS.OWES_DRAIN)) {
      this.state &= ~IS.OWES_DRAIN;
      this.#tell('onDrain');
    }
  }

  #shut(): void {
    this.state = (this.state & ~IS.ENDING) | IS.SHUT;
    this.loop.libc.shutdown(this.descriptor);
    if (this.is(IS.READ_ENDED)) this.loop.enqueue(this);
  }

  /** The first news of a dialled connection: true where it is established. */
  #established(events: number): boolean {
    if ((events & (EPOLL.ERR | EPOLL.HUP)) !== 0) {
      const failure = this.loop.libc.takeError(this.descriptor);
      this.over(failure === 0 ? 'reset' : dialReason(failure));
      return false;
    }
    if ((events & EPOLL.OUT) === 0) return false;
    this.state &= ~IS.CONNECTING;
    this.#tell('onConnect');
    if (this.is(IS.ENDING) && this.held === null) this.#shut();
    return !this.is(IS.CLOSED);
  }

  #tell(event: 'onConnect' | 'onEnd' | 'onDrain'): void {
    try {
      this.handler[event]();
    } catch (error) {
      this.#failed(error);
    }
  }

  #tellBytes(bytes: Uint8Array): void {
    try {
      this.handler.onBytes(bytes);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** A handler threw: its session must not live on half-told. */
  #failed(error: unknown): void {
    this.loop.onError(error);
    this.over('failed');
  }
}

/** Tries to send what is held once more, where the kernel was too short of memory to say when. */
class Flush implements Ready {
  queued = false;
  readonly #connection: EpollConnection;

  constructor(connection: EpollConnection) {
    this.#connection = connection;
  }

  advance(): void {
    this.#connection.flush();
  }

  onFault(): void {
    this.#connection.onFault();
  }
}
