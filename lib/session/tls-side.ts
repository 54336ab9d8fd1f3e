import type { CloseReason, ConnectionHandler } from '../transport/contract.ts';
import type { TlsFault, TlsInfo } from '../transport/tls-contract.ts';

export interface TlsOwner {
  onSecured(info: TlsInfo): void;
  /** The client is gone; `fault` where the handshake failed. */
  onTlsClosed(reason: CloseReason, fault: TlsFault | undefined): void;
}

/** A client within its TLS handshake: nothing comes of it but the outcome. */
export class TlsSide implements ConnectionHandler {
  readonly #owner: TlsOwner;

  constructor(owner: TlsOwner) {
    this.#owner = owner;
  }

  onConnect(): void {}
  onBytes(_bytes: Uint8Array): void {}
  onEnd(): void {}
  onDrain(): void {}
  onSecure(info: TlsInfo): void {
    this.#owner.onSecured(info);
  }
  onClose(reason: CloseReason, fault?: TlsFault): void {
    this.#owner.onTlsClosed(reason, fault);
  }
}
