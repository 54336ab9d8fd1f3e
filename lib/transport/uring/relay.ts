import type { CloseReason, Relay, RelayHandler } from '../contract.ts';
import { SILENT } from '../silent.ts';
import type { UringConnection } from './connection.ts';

/** Moves bytes between two connections until both are closed; see `Transport.relay`. The connections do the work. */
export class UringRelay implements Relay {
  readonly #first: UringConnection;
  readonly #second: UringConnection;
  readonly #handler: RelayHandler;
  #closed = 0;

  constructor(first: UringConnection, second: UringConnection, handler: RelayHandler) {
    this.#first = first;
    this.#second = second;
    this.#handler = handler;
    for (const [connection, peer] of [
      [first, second],
      [second, first],
    ] as const) {
      connection.handler = SILENT;
      connection.relay = this;
      connection.peer = peer;
    }
    // What was paused before is paused no longer.
    first.resume();
    second.resume();
  }

  get bytesFromFirst(): number {
    return this.#first.relayed;
  }

  get bytesFromSecond(): number {
    return this.#second.relayed;
  }

  keepAlive(): void {
    this.#first.keepAlive();
    this.#second.keepAlive();
  }

  destroy(): void {
    this.#first.destroy();
    this.#second.destroy();
  }

  sideClosed(side: UringConnection, reason: CloseReason): void {
    if (reason === 'ended') {
      this.#closed++;
      if (this.#closed === 2) this.#handler.onRelayEnd('ended');
      return;
    }
    const other = side === this.#first ? this.#second : this.#first;
    other.reset();
    // Many a client closes for good after QUIT without reading the goodbye: once the other side has ended, a reset
    // harms nobody.
    if (other.peerEnded) this.#handler.onRelayEnd('ended');
    else this.#handler.onRelayEnd(side === this.#first ? 'first-reset' : 'second-reset');
  }
}
