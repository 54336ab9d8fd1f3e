import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';

/**
 * A client that has heard our last word. What it still sends is thrown away: a socket closed with unread bytes sends
 * RST, and the RST would overtake the word.
 */
export class LingeringClient implements ConnectionHandler {
  readonly #onGone: () => void;

  constructor(connection: Connection, onGone: () => void) {
    this.#onGone = onGone;
    connection.handler = this;
    connection.resume();
  }

  onConnect(): void {}
  onBytes(_bytes: Uint8Array): void {}
  onEnd(): void {
    this.#onGone();
  }
  onDrain(): void {}
  onClose(_reason: CloseReason): void {
    this.#onGone();
  }
}
