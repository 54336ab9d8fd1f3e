import type { Cause } from '../core/termination.ts';
import { createHandshakeObserver, type HandshakeObserver } from '../smtp/observer.ts';
import type { CloseReason, ConnectionHandler } from '../transport/contract.ts';
import { HandshakeEnd } from './handshake-end.ts';

/** What the account of a session keeps of a handshake. */
export type HandshakeView = Pick<
  HandshakeObserver,
  'greetingCode' | 'hello' | 'helloName' | 'capabilities' | 'starttls'
>;

/** What a session asks of whatever goes on before its relay. */
export interface HandshakeCount {
  readonly facts: HandshakeView;
  /** Passed on. */
  readonly bytesFromClient: number;
  readonly bytesFromBackend: number;
  /** It is the client's turn and no reply is under way: the one moment at which a word of our own may be put in. */
  readonly atCommand: boolean;
}

/** From the greeting to the relay, whoever speaks TLS with the client. */
export interface SessionHandshake extends HandshakeCount, HandshakeSides {
  /**
   * `greeting` is what the backend has said, `early` what the client said before it was greeted; `clientEnded` if it
   * has closed its direction since.
   */
  begin(greeting: readonly Uint8Array[], early: readonly Uint8Array[], clientEnded: boolean): void;
}

/** What the two connections of a handshake tell. */
export interface HandshakeSides {
  fromClient(bytes: Uint8Array): void;
  fromBackend(bytes: Uint8Array): void;
  clientEnded(): void;
  backendEnded(): void;
  clientDrained(): void;
  backendDrained(): void;
  closed(by: 'client-reset' | 'backend-reset', reason: CloseReason): void;
}

export interface HandshakeOwner {
  /** Nothing more is to be learnt, or one side has closed its direction: the relay's turn. */
  onHandshakeDone(): void;
  /** One side broke the session off; `cause` says which, and so what the other side is to see. */
  onHandshakeBroken(cause: Cause): void;
}

/**
 * Passes bytes both ways while the observer reads along: from the greeting to the moment when nothing is left to
 * learn. Each byte is observed before it is passed on, and none is changed.
 */
export class Handshake extends HandshakeEnd implements SessionHandshake {
  readonly observer: HandshakeObserver = createHandshakeObserver();
  bytesFromClient = 0;
  bytesFromBackend = 0;
  #begun = true;

  get facts(): HandshakeView {
    return this.observer;
  }

  begin(greeting: readonly Uint8Array[], early: readonly Uint8Array[], clientEnded: boolean): void {
    this.client.handler = new ClientSide(this);
    this.backend.handler = new BackendSide(this);
    // All of it is passed on before anything else happens: a relay must not start between two pieces.
    this.#begun = false;
    for (const bytes of greeting) this.fromBackend(bytes);
    let hasRoom = true;
    for (const bytes of early) hasRoom = this.fromClient(bytes);
    this.#begun = true;
    if (this.over) return;
    if (clientEnded) this.clientEnded();
    else if (this.observer.done) this.finished();
    else if (hasRoom) this.client.resume();
  }

  get atCommand(): boolean {
    return !this.over && this.observer.phase === 'command';
  }

  /** Returns whether the backend has room for more. */
  fromClient(bytes: Uint8Array): boolean {
    if (this.over) return false;
    this.observer.fromClient(bytes);
    if (this.#refused()) return false;
    this.bytesFromClient += bytes.length;
    const hasRoom = this.backend.write(bytes);
    if (!hasRoom) this.client.pause();
    this.#settle();
    return hasRoom;
  }

  fromBackend(bytes: Uint8Array): void {
    if (this.over) return;
    this.observer.fromBackend(bytes);
    if (this.#refused()) return;
    this.bytesFromBackend += bytes.length;
    if (!this.client.write(bytes)) this.backend.pause();
    this.#settle();
  }

  /** The relay takes a direction that is closed already, as long as the other side was told. */
  clientEnded(): void {
    this.backend.end();
    this.finished();
  }

  /** Between a command and its reply a backend must not leave; at any other time it may, after QUIT or a 421. */
  backendEnded(): void {
    const { phase } = this.observer;
    this.client.end();
    if (phase === 'hello-reply' || phase === 'starttls-reply' || phase === 'greeting') {
      this.broken('backend-closed');
    } else {
      this.finished();
    }
  }

  clientDrained(): void {
    this.backend.resume();
  }

  backendDrained(): void {
    this.client.resume();
  }

  #refused(): boolean {
    if (this.observer.phase !== 'refused') return false;
    this.broken(this.observer.fault === 'foreign-protocol' ? 'foreign-protocol' : 'backend-protocol');
    return true;
  }

  #settle(): void {
    if (this.#begun && this.observer.done) this.finished();
  }
}

export class ClientSide implements ConnectionHandler {
  readonly #handshake: HandshakeSides;
  constructor(handshake: HandshakeSides) {
    this.#handshake = handshake;
  }
  onConnect(): void {}
  onBytes(bytes: Uint8Array): void {
    this.#handshake.fromClient(bytes);
  }
  onEnd(): void {
    this.#handshake.clientEnded();
  }
  onDrain(): void {
    this.#handshake.clientDrained();
  }
  onClose(reason: CloseReason): void {
    this.#handshake.closed('client-reset', reason);
  }
}

export class BackendSide implements ConnectionHandler {
  readonly #handshake: HandshakeSides;
  constructor(handshake: HandshakeSides) {
    this.#handshake = handshake;
  }
  onConnect(): void {}
  onBytes(bytes: Uint8Array): void {
    this.#handshake.fromBackend(bytes);
  }
  onEnd(): void {
    this.#handshake.backendEnded();
  }
  onDrain(): void {
    this.#handshake.backendDrained();
  }
  onClose(reason: CloseReason): void {
    this.#handshake.closed('backend-reset', reason);
  }
}
