import type { CloseReason, ConnectionHandler, Relay, RelayHandler } from '../contract.ts';
import type { NetConnection } from './connection.ts';
import type { Stalled } from './stalled.ts';

/** One direction and its end: what this side sends goes to the other. */
class RelaySide implements ConnectionHandler {
  bytes = 0;
  ended: boolean;
  closed = false;
  other!: RelaySide;
  readonly connection: NetConnection;
  readonly #relay: NetRelay;

  constructor(connection: NetConnection, relay: NetRelay) {
    this.connection = connection;
    this.ended = connection.peerEnded;
    this.#relay = relay;
  }

  onConnect(): void {}

  onBytes(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    if (!this.other.connection.write(bytes)) this.#relay.stall(this);
  }

  onEnd(): void {
    this.ended = true;
    this.other.connection.end();
  }

  onDrain(): void {
    this.#relay.goOn(this.other);
  }

  onClose(reason: CloseReason): void {
    this.closed = true;
    this.#relay.sideClosed(this, reason);
  }
}

/** Moves bytes between two connections until both are closed; see `Transport.relay`. */
export class NetRelay implements Relay {
  readonly #first: RelaySide;
  readonly #second: RelaySide;
  readonly #handler: RelayHandler;
  readonly #stalled: Stalled;

  constructor(first: NetConnection, second: NetConnection, handler: RelayHandler, stalled: Stalled) {
    this.#first = new RelaySide(first, this);
    this.#second = new RelaySide(second, this);
    this.#first.other = this.#second;
    this.#second.other = this.#first;
    this.#handler = handler;
    this.#stalled = stalled;
    first.handler = this.#first;
    second.handler = this.#second;
    // What was paused before is paused no longer, unless the other side is full right now.
    if (second.writable) this.goOn(this.#first);
    else this.stall(this.#first);
    if (first.writable) this.goOn(this.#second);
    else this.stall(this.#second);
  }

  get bytesFromFirst(): number {
    return this.#first.bytes;
  }

  get bytesFromSecond(): number {
    return this.#second.bytes;
  }

  /** The other side takes no more for now. */
  stall(side: RelaySide): void {
    side.connection.pause();
    this.#stalled.add(side.connection);
  }

  goOn(side: RelaySide): void {
    this.#stalled.delete(side.connection);
    side.connection.resume();
  }

  keepAlive(): void {
    this.#first.connection.keepAlive();
    this.#second.connection.keepAlive();
  }

  destroy(): void {
    this.#forget();
    this.#first.connection.destroy();
    this.#second.connection.destroy();
  }

  sideClosed(side: RelaySide, reason: CloseReason): void {
    if (reason === 'ended') {
      this.#stalled.delete(side.connection);
      if (side.other.closed) this.#handler.onRelayEnd('ended');
      return;
    }
    this.#forget();
    side.other.connection.reset();
    // Many a client closes for good after QUIT without reading the goodbye: once the other side has ended, a reset
    // harms nobody.
    if (side.other.ended) this.#handler.onRelayEnd('ended');
    else this.#handler.onRelayEnd(side === this.#first ? 'first-reset' : 'second-reset');
  }

  #forget(): void {
    this.#stalled.delete(this.#first.connection);
    this.#stalled.delete(this.#second.connection);
  }
}
