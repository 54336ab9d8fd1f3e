import type { Cause } from '../core/termination.ts';
import type { CloseReason, Connection } from '../transport/contract.ts';
import type { HandshakeOwner } from './handshake.ts';

/** The two connections of a handshake, and its one end: done, or broken off. */
export abstract class HandshakeEnd {
  readonly client: Connection;
  readonly backend: Connection;
  protected over = false;
  readonly #owner: HandshakeOwner;

  constructor(client: Connection, backend: Connection, owner: HandshakeOwner) {
    this.client = client;
    this.backend = backend;
    this.#owner = owner;
  }

  closed(by: 'client-reset' | 'backend-reset', reason: CloseReason): void {
    this.broken(reason === 'failed' ? 'internal' : by);
  }

  protected finished(): void {
    if (this.over) return;
    this.over = true;
    this.#owner.onHandshakeDone();
  }

  protected broken(cause: Cause): void {
    if (this.over) return;
    this.over = true;
    this.#owner.onHandshakeBroken(cause);
  }
}
