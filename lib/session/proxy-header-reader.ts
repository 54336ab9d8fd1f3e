import { PROXY_V2_OCTETS } from '../core/limits.ts';
import type { Cause } from '../core/termination.ts';
import { decodeProxyHeader } from '../proxy-protocol/decode.ts';
import type { ProxyHeader } from '../proxy-protocol/header.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';

export interface ProxyHeaderOwner {
  /** The header, and what the client sent behind it in the same breath. */
  onHeader(header: ProxyHeader, rest: Uint8Array): void;
  onBadHeader(): void;
  /** The connection was closed or reset before its header was whole. */
  onGone(cause: Cause): void;
}

/** Reads a PROXY header off the start of a connection; nothing is dialled before it is whole and valid. */
export class ProxyHeaderReader implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #owner: ProxyHeaderOwner;
  #octets: Uint8Array = new Uint8Array(0);

  constructor(connection: Connection, owner: ProxyHeaderOwner) {
    this.#connection = connection;
    this.#owner = owner;
  }

  onConnect(): void {}

  onBytes(bytes: Uint8Array): void {
    // Nearly always the header comes in one piece, and nothing is joined.
    this.#octets = this.#octets.length === 0 ? Uint8Array.from(bytes) : Buffer.concat([this.#octets, bytes]);
    const decoded = decodeProxyHeader(this.#octets);
    if (decoded.status === 'valid') {
      this.#owner.onHeader(decoded.header, this.#octets.subarray(decoded.length));
    } else if (decoded.status === 'invalid' || this.#octets.length > PROXY_V2_OCTETS) {
      this.#connection.pause();
      this.#owner.onBadHeader();
    }
  }

  onEnd(): void {
    this.#owner.onGone('client-closed');
  }

  onDrain(): void {}

  onClose(_reason: CloseReason): void {
    this.#owner.onGone('client-reset');
  }
}
