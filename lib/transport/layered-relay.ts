import type { CloseReason, Connection, ConnectionHandler, Relay, RelayHandler } from './contract.ts';

/** One direction and its end: what this side sends goes to the other. */
class RelaySide implements ConnectionHandler {
  bytes = 0;
  ended: boolean;
  closed = false;
  other!: RelaySide;
  readonly connection: Connection;
  readonly #relay: LayeredRelay;

  constructor(connection: Connection, relay: LayeredRelay) {
    this.connection = connection;
    this.ended = connection.peerEnded;
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

/**
 * Moves bytes between any two connections, as `Transport.relay` does between a transport's own: for those that have
 * something between them and their socket.
 */
export class LayeredRelay implements Relay {
  readonly #first: RelaySide;
  readonly #second: RelaySide;
  readonly #handler: RelayHandler;

  constructor(first: Connection, second: Connection, handler: RelayHandler) {
    this.#first = new RelaySide(first, this);
    this.#second = new RelaySide(second, this);
    this.#first.other = this.#second;
    this.#second.other = this.#first;
    this.#handler = handler;
    first.handler = this.#first;
    second.handler = this.#second;
    // What was paused before is paused no longer.
    first.resume();
    second.resume();
  }

  get bytesFromFirst(): number {
    return this.#first.bytes;
  }

  get bytesFromSecond(): number {
    return this.#second.bytes;
  }

  keepAlive(): void {
    this.#first.connection.keepAlive();
    this.#second.connection.keepAlive();
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
