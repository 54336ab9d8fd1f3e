import type { CloseReason, Connection, ConnectionHandler, Relay, RelayHandler } from './contract.ts';

/** How the flow between the two is held back. */
export interface Flow<C extends Connection> {
  /** The other side takes no more for now. */
  stall(connection: C): void;
  /** It does again, or nobody has asked yet. */
  goOn(connection: C): void;
  /** Whether it would take more right now. */
  hasRoom(connection: C): boolean;
  /** It is over: whatever is remembered of it is not any more. */
  forget(connection: C): void;
}

const BY_THE_CONTRACT: Flow<Connection> = {
  stall: connection => connection.pause(),
  goOn: connection => connection.resume(),
  hasRoom: () => true,
  forget() {},
};

/** One direction and its end: what this side sends goes to the other. */
class RelaySide<C extends Connection> implements ConnectionHandler {
  bytes = 0;
  ended: boolean;
  closed = false;
  other!: RelaySide<C>;
  readonly connection: C;
  readonly #flow: Flow<C>;
  readonly #relay: HandlerRelay<C>;

  constructor(connection: C, relay: HandlerRelay<C>, flow: Flow<C>) {
    this.connection = connection;
    this.ended = connection.peerEnded;
    this.#relay = relay;
    this.#flow = flow;
  }

  onConnect(): void {}

  onBytes(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    if (!this.other.connection.write(bytes)) this.#flow.stall(this.connection);
  }

  onEnd(): void {
    this.ended = true;
    this.other.connection.end();
  }

  onDrain(): void {
    this.#flow.goOn(this.other.connection);
  }

  onClose(reason: CloseReason): void {
    this.closed = true;
    this.#relay.sideClosed(this, reason);
  }
}

/**
 * Moves bytes between two connections until both are closed, by no more than the contract has: `Transport.relay` for
 * those that have no quicker way, or something between them and their socket.
 */
export class HandlerRelay<C extends Connection = Connection> implements Relay {
  readonly #first: RelaySide<C>;
  readonly #second: RelaySide<C>;
  readonly #handler: RelayHandler;
  readonly #flow: Flow<C>;

  constructor(first: C, second: C, handler: RelayHandler, flow: Flow<C> = BY_THE_CONTRACT) {
    this.#first = new RelaySide(first, this, flow);
    this.#second = new RelaySide(second, this, flow);
    this.#first.other = this.#second;
    this.#second.other = this.#first;
    this.#handler = handler;
    this.#flow = flow;
    first.handler = this.#first;
    second.handler = this.#second;
    // What was paused before is paused no longer, unless the other side is full right now.
    for (const { connection, other } of [this.#first, this.#second]) {
      if (flow.hasRoom(other.connection)) flow.goOn(connection);
      else flow.stall(connection);
    }
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
    this.#forget();
    this.#first.connection.destroy();
    this.#second.connection.destroy();
  }

  sideClosed(side: RelaySide<C>, reason: CloseReason): void {
    if (reason === 'ended') {
      this.#flow.forget(side.connection);
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
    this.#flow.forget(this.#first.connection);
    this.#flow.forget(this.#second.connection);
  }
}
