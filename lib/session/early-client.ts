import { EARLY_CLIENT_OCTETS } from '../core/limits.ts';
import type { Cause } from '../core/termination.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';

export interface EarlyOwner {
  /** The client has vanished; there is nobody left to find a backend for. */
  onGone(cause: Cause): void;
}

/**
 * A client whose backend is not chosen yet. SMTP clients wait for the greeting, so this holds nothing in the usual
 * case; who speaks early is held back, within a bound, and a half-close is remembered.
 */
export class EarlyClient implements ConnectionHandler {
  /** What it said, in order. */
  readonly held: Uint8Array[] = [];
  /** It has closed its direction. */
  ended = false;
  readonly #connection: Connection;
  readonly #owner: EarlyOwner;
  #octets = 0;

  constructor(connection: Connection, owner: EarlyOwner) {
    this.#connection = connection;
    this.#owner = owner;
  }

  onConnect(): void {}

  onBytes(bytes: Uint8Array): void {
    this.held.push(Uint8Array.from(bytes));
    this.#octets += bytes.length;
    if (this.#octets >= EARLY_CLIENT_OCTETS) this.#connection.pause();
  }

  onEnd(): void {
    this.ended = true;
    // Who leaves without a word was a probe or has given up: no backend need be troubled.
    if (this.held.length === 0) this.#owner.onGone('client-closed');
  }

  onDrain(): void {}

  onClose(reason: CloseReason): void {
    this.#owner.onGone(reason === 'failed' ? 'internal' : 'client-reset');
  }
}
