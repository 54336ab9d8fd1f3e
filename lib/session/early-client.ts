import { EARLY_CLIENT_OCTETS } from '../core/limits.ts';
import type { Cause } from '../core/termination.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';
import { NOTHING } from './at-rest.ts';

export interface EarlyOwner {
  /** The client has vanished; there is nobody left to find a backend for. */
  onGone(cause: Cause): void;
}

/**
 * A client whose backend is not chosen yet. SMTP clients wait for the greeting, so this holds nothing in the usual
 * case; who speaks early is held back, within a bound, and a half-close is remembered.
 */
export class EarlyClient implements ConnectionHandler {
  /** It has closed its direction. */
  ended = false;
  readonly #connection: Pick<Connection, 'pause'>;
  readonly #owner: EarlyOwner;
  /** What it said, in order. */
  #held: Uint8Array[] | null = null;
  #octets = 0;

  constructor(connection: Pick<Connection, 'pause'>, owner: EarlyOwner) {
    this.#connection = connection;
    this.#owner = owner;
  }

  /** What it has said since this was asked last, in order. */
  take(): readonly Uint8Array[] {
    const held = this.#held;
    this.#held = null;
    return held ?? NOTHING;
  }

  onConnect(): void {}

  onBytes(bytes: Uint8Array): void {
    this.#held ??= [];
    this.#held.push(Uint8Array.from(bytes));
    this.#octets += bytes.length;
    if (this.#octets >= EARLY_CLIENT_OCTETS) this.#connection.pause();
  }

  onEnd(): void {
    this.ended = true;
    // Who leaves without a word was a probe or has given up: no backend need be troubled.
    if (this.#held === null) this.#owner.onGone('client-closed');
  }

  onDrain(): void {}

  onClose(reason: CloseReason): void {
    this.#owner.onGone(reason === 'failed' ? 'internal' : 'client-reset');
  }
}

/** Stands where a session's client was early: it is served, or gone, and said nothing that is still to be passed on. */
export const SERVED = new EarlyClient({ pause() {} }, { onGone() {} });
