import type { CloseReason, ConnectionHandler, Relay, RelayHandler } from '../contract.ts';
import type { NetConnection } from './connection.ts';

/** One direction and its end: what this side sends goes to the other. */
class RelaySide implements ConnectionHandler {
  bytes = 0;
  ended = false;
  closed = false;
  other!: RelaySide;
  readonly connection: NetConnection;
  readonly #relay: NetRelay;

  constructor(connection: NetConnection, relay: NetRelay) {
    this.connection = connection;
    this.#relay = relay;
  }

  onConnect(): void {}

  onBytes(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    if (!this.other.connection.write(bytes)) this.connection.pause();
  }

  onEnd(): void {
    this.ended = true;
    this.other.connection.end();
  }

  onDrain(): void {
    this.other.connection.resume();
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

  constructor(first: NetConnection, second: NetConnection, handler: RelayHandler) {
    this.#first = new RelaySide(first, this);
    this.#second = new RelaySide(second, this);
    this.#first.other = this.#second;
    this.#second.other = this.#first;
    this.#handler = handler;
    first.handler = this.#first;
    second.handler = this.#second;
    // What was paused before is paused no longer, unless the other side is full right now.
    if (second.writable) first.resume();
    else first.pause();
    if (first.writable) second.resume();
    else second.pause();
  }

  get bytesFromFirst(): number {
    return this.#first.bytes;
  }

  get bytesFromSecond(): number {
    return this.#second.bytes;
  }

  destroy(): void {
    this.#first.connection.destroy();
    this.#second.connection.destroy();
  }

  sideClosed(side: RelaySide, reason: CloseReason): void {
    if (reason === 'ended') {
      if (side.other.closed) this.#handler.onRelayEnd('ended');
      return;
    }
    side.other.connection.reset();
    // Many a client closes for good after QUIT without reading the goodbye: once the other side has ended, a reset
    // harms nobody.
    if (side.other.ended) this.#handler.onRelayEnd('ended');
    else this.#handler.onRelayEnd(side === this.#first ? 'first-reset' : 'second-reset');
  }
}
