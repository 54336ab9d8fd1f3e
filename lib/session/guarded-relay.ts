import type {
  CloseReason,
  Connection,
  ConnectionHandler,
  Relay,
  RelayHandler,
} from '../transport/contract.ts';
import type { GuardedBackend } from './guarded-backend.ts';

/** Moves bytes as a transport's relay does (see `Transport.relay`), over a backend that guards what the client says. */
export class GuardedRelay implements Relay {
  bytesFromFirst = 0;
  bytesFromSecond = 0;
  readonly #client: Connection;
  readonly #backend: GuardedBackend;
  readonly #handler: RelayHandler;
  #clientEnded: boolean;
  #backendEnded: boolean;
  #clientClosed = false;
  #backendClosed = false;

  constructor(client: Connection, backend: GuardedBackend, handler: RelayHandler) {
    this.#client = client;
    this.#backend = backend;
    this.#handler = handler;
    this.#clientEnded = backend.clientEnded;
    this.#backendEnded = backend.backendEnded;
    client.handler = this.#clientSide();
    backend.handler = this.#backendSide();
    client.resume();
    backend.resume();
  }

  keepAlive(): void {
    this.#client.keepAlive();
    this.#backend.keepAlive();
  }

  destroy(): void {
    this.#client.destroy();
    this.#backend.destroy();
  }

  #clientSide(): ConnectionHandler {
    return {
      onConnect() {},
      onBytes: bytes => {
        this.bytesFromFirst += bytes.length;
        if (!this.#backend.write(bytes)) this.#client.pause();
      },
      onEnd: () => {
        this.#clientEnded = true;
        this.#backend.end();
      },
      onDrain: () => this.#backend.resume(),
      onClose: reason => {
        this.#clientClosed = true;
        if (reason === 'ended') return this.#settle();
        this.#backend.reset();
        this.#handler.onRelayEnd(this.#backendEnded ? 'ended' : 'first-reset');
      },
    };
  }

  #backendSide(): ConnectionHandler {
    return {
      onConnect() {},
      onBytes: bytes => {
        this.bytesFromSecond += bytes.length;
        if (!this.#client.write(bytes)) this.#backend.pause();
      },
      onEnd: () => {
        this.#backendEnded = true;
        this.#client.end();
      },
      onDrain: () => this.#client.resume(),
      onClose: (reason: CloseReason) => {
        this.#backendClosed = true;
        if (reason === 'ended') return this.#settle();
        this.#client.reset();
        this.#handler.onRelayEnd(this.#clientEnded ? 'ended' : 'second-reset');
      },
    };
  }

  #settle(): void {
    if (this.#clientClosed && this.#backendClosed) this.#handler.onRelayEnd('ended');
  }
}
