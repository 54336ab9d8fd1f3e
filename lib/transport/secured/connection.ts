import type { Address } from '../../core/address.ts';
import { readClientHello } from '../../tls/client-hello.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../contract.ts';
import type { OpenSsl } from '../linux/openssl/load.ts';
import type { ReadStop, TlsSession } from '../linux/openssl/session.ts';
import { SILENT } from '../silent.ts';
import {
  CLOSED_WITHIN,
  type TlsClientOptions,
  type TlsFault,
  type TlsServerOptions,
} from '../tls-contract.ts';

/** What all secured connections of a transport have in common. */
export interface Kit {
  readonly openssl: OpenSsl;
  /** Calls back soon, and never within this call. */
  readonly later: (call: () => void) => void;
  readonly onHandlerError: (error: unknown) => void;
  /** Room for PIECE_OCTETS. */
  readonly scratch: Buffer;
}

/** Octets written at a time: a record's. */
export const PIECE_OCTETS = 16_384;
/**
 * Octets fed at a time: OpenSSL keeps as much memory for a connection as it was ever given at once. A whole record with what
 * TLS adds to it, so that one that comes alone is read at once.
 */
const FED_OCTETS = 17_408;

const NOTHING = new Uint8Array(0);

/** `plain`: as it is; `hello`: the beginning of the handshake is read; `over`: what was below is gone. */
type Stage = 'plain' | 'hello' | 'handshake' | 'secured' | 'over';

/**
 * A connection on which TLS can begin. Until then it is no more than the one below. From then on OpenSSL stands between
 * that and the handler, for as long as the connection lives, and is left in one place: `#leave`.
 */
export class SecurableConnection implements Connection, ConnectionHandler {
  handler: ConnectionHandler;
  readonly #below: Connection;
  readonly #kit: Kit;
  #stage: Stage = 'plain';
  #options: TlsServerOptions | null = null;
  #hello: Uint8Array = NOTHING;
  #serverName: string | null = null;
  #session: TlsSession | null = null;
  #paused = false;
  /** Paused in the middle of what was received: there may be more to read. */
  #unread = false;
  /** What the transport has told meanwhile: the handler is told when all is read. */
  #behind: 'nothing' | 'end' | 'close' = 'nothing';
  /** What TLS itself has to say has no room: until it has, nothing more is read that it might answer. */
  #clogged = false;
  #endTold = false;
  #ended = false;

  constructor(below: Connection, kit: Kit) {
    this.#below = below;
    this.#kit = kit;
    this.handler = below.handler;
    below.handler = this;
  }

  get remote(): Address {
    return this.#below.remote;
  }

  get local(): Address {
    return this.#below.local;
  }

  get peerEnded(): boolean {
    return this.#endTold || (!this.#unread && this.#below.peerEnded);
  }

  /** The connection below, where TLS never began: nothing but this object is in the way of a faster relay. */
  get plain(): Connection | null {
    return this.#stage === 'plain' ? this.#below : null;
  }

  /** See `Transport.secure`. */
  secure(options: TlsServerOptions | TlsClientOptions): void {
    this.resume();
    if (options.role === 'client') return this.#greet(options);
    this.#stage = 'hello';
    this.#options = options;
    this.#hello = Uint8Array.from(options.first ?? NOTHING);
    if (this.#hello.length === 0) return;
    this.#kit.later(() => {
      if (this.#stage === 'hello') this.#guarded(() => this.#greeted(NOTHING));
    });
  }

  write(bytes: Uint8Array): boolean {
    if (this.#stage === 'plain') return this.#below.write(bytes);
    if (this.#stage !== 'secured' || this.#ended) return true;
    let hasRoom = true;
    for (let at = 0; at < bytes.length; at += PIECE_OCTETS) {
      const piece = bytes.length <= PIECE_OCTETS ? bytes : bytes.subarray(at, at + PIECE_OCTETS);
      // What is broken is told when it is read from.
      if (this.#session?.write(piece) === false) return true;
      hasRoom = this.#flush();
    }
    return hasRoom;
  }

  pause(): void {
    this.#paused = true;
    this.#below.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#unread) this.#kit.later(() => this.#guarded(() => this.#readOn(this.#session as TlsSession)));
    if (!this.#clogged) this.#below.resume();
  }

  keepAlive(): void {
    this.#below.keepAlive();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#session?.end();
    this.#flush();
    this.#below.end();
    // Nothing is said any more, so that nobody tells when there is room for it.
    this.#unclog();
  }

  destroy(): void {
    this.#leave();
    this.#below.destroy();
  }

  reset(): void {
    this.#leave();
    this.#below.reset();
  }

  onConnect(): void {
    this.handler.onConnect();
  }

  onBytes(bytes: Uint8Array): void {
    if (this.#stage === 'plain') this.handler.onBytes(bytes);
    else if (this.#stage === 'hello') this.#greeted(bytes);
    // What comes behind a close_notify is ignored (RFC 8446 section 6.1). OpenSSL would keep all of it.
    else if (!this.#endTold) this.#received(bytes);
  }

  onEnd(): void {
    if (this.#stage === 'hello' || this.#stage === 'handshake') this.#failed(CLOSED_WITHIN);
    else if (this.#unread) this.#behind = 'end';
    else this.#tellEnd();
  }

  onDrain(): void {
    this.#unclog();
    // What was written before the handshake is nobody's business any more.
    if (this.#stage === 'plain' || this.#stage === 'secured') this.handler.onDrain();
  }

  onClose(reason: CloseReason): void {
    if (this.#unread && reason === 'ended') {
      this.#behind = 'close';
      return;
    }
    const { handler } = this;
    this.#leave();
    handler.onClose(reason);
  }

  /** The first word is ours. */
  #greet(options: TlsClientOptions): void {
    this.#stage = 'handshake';
    const session = this.#kit.openssl.connect(options);
    this.#session = session;
    this.#kit.later(() => this.#guarded(() => this.#shakeHands(session)));
  }

  /** Reads the ClientHello, in the clear, before OpenSSL does: it decides what OpenSSL is to show. */
  #greeted(bytes: Uint8Array): void {
    this.#hello = this.#hello.length === 0 ? Uint8Array.from(bytes) : Buffer.concat([this.#hello, bytes]);
    const hello = readClientHello(this.#hello);
    if (hello.status === 'incomplete') return;
    if (hello.status === 'invalid')
      return this.#failed({
        code: 'not-tls',
        text: `the client began no TLS handshake: ${hello.reason}`,
      });
    const { clientCertificates, settingsFor } = this.#options as TlsServerOptions;
    this.#serverName = hello.serverName;
    this.#session = this.#kit.openssl.accept(settingsFor(hello), clientCertificates);
    this.#stage = 'handshake';
    const received = this.#hello;
    this.#hello = NOTHING;
    this.#received(received);
  }

  /**
   * What was inside takes the place of what was received, from its beginning: a view of the transport's own memory can be
   * handed on without a copy. It never gets ahead of what has been fed.
   */
  #received(bytes: Uint8Array): void {
    const session = this.#session as TlsSession;
    let read = 0;
    for (let fed = 0; fed < bytes.length; ) {
      const piece = bytes.length <= FED_OCTETS ? bytes : bytes.subarray(fed, fed + FED_OCTETS);
      session.feed(piece);
      fed += piece.length;
      if (this.#stage === 'handshake') this.#shakeHands(session);
      if (this.#stage === 'secured' && !this.#paused && read < fed)
        read += session.read(piece === bytes ? bytes : bytes.subarray(read, fed));
    }
    if (read > 0) this.handler.onBytes(read === bytes.length ? bytes : bytes.subarray(0, read));
    if (this.#stage !== 'secured') return;
    if (session.stop === 'full' || this.#paused) this.#readOn(session);
    else this.#settle(session.stop);
  }

  /** Hands up what had no room. */
  #readOn(session: TlsSession): void {
    const { scratch } = this.#kit;
    do {
      if (this.#paused) {
        this.#unread = true;
        return;
      }
      const read = session.read(scratch);
      // Below they may be kept for a while.
      if (read > 0) this.handler.onBytes(Buffer.from(scratch.subarray(0, read)));
    } while (session.stop === 'full' && this.#stage === 'secured');
    this.#unread = false;
    if (this.#stage === 'secured') this.#settle(session.stop);
    if (this.#stage === 'secured' && this.#behind !== 'nothing') this.#tellEnd();
    if (this.#stage === 'secured' && this.#behind === 'close') this.onClose('ended');
  }

  /** For now there is no more to read, or never again. Sends what TLS itself has to say. */
  #settle(stop: ReadStop): void {
    const hasRoom = this.#flush();
    this.#session?.noteSession();
    if (stop === 'broken') return this.#over('reset');
    if (!hasRoom) {
      this.#clogged = true;
      this.#below.pause();
    }
    if (stop === 'ended') this.#tellEnd();
  }

  #shakeHands(session: TlsSession): void {
    if (this.#stage !== 'handshake') return;
    const outcome = session.handshake();
    this.#flush();
    if (outcome === null) return;
    if (outcome !== true) return this.#failed(outcome);
    this.#stage = 'secured';
    session.noteSession();
    this.handler.onSecure?.(session.info(this.#serverName));
  }

  /** Sends what OpenSSL has ready; false: wait for `onDrain` before the next. */
  #flush(): boolean {
    const bytes = this.#session?.take() ?? null;
    return bytes === null || this.#below.write(bytes);
  }

  #unclog(): void {
    if (!this.#clogged) return;
    this.#clogged = false;
    if (!this.#paused) this.#below.resume();
  }

  #tellEnd(): void {
    if (this.#endTold) return;
    this.#endTold = true;
    this.handler.onEnd();
  }

  #failed(fault: TlsFault): void {
    this.#over('tls-failed', fault);
  }

  #over(reason: CloseReason, fault?: TlsFault): void {
    const { handler } = this;
    this.#leave();
    this.#below.destroy();
    handler.onClose(reason, fault);
  }

  /** Gives back what it has, and speaks to nobody any more. */
  #leave(): void {
    this.#stage = 'over';
    this.handler = SILENT;
    this.#session?.free();
  }

  /** A handler that throws within what nobody below has called: its session must not live on half-told. */
  #guarded(call: () => void): void {
    if (this.#stage === 'over') return;
    const { handler } = this;
    try {
      call();
    } catch (error) {
      this.#kit.onHandlerError(error);
      this.#leave();
      this.#below.destroy();
      try {
        handler.onClose('failed');
      } catch (second) {
        this.#kit.onHandlerError(second);
      }
    }
  }
}
