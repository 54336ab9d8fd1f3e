import { X509Certificate } from 'node:crypto';
import type { TlsClientOptions, TlsFault, TlsInfo } from '../../tls-contract.ts';
import { askedName, nameFault, peerOf } from '../../tls-peer.ts';
import { type Calls, ERROR, NOWHERE, OK, type Place } from './calls.ts';
import type { TlsContext } from './context.ts';
import { takeError, verifyFault } from './errors.ts';
import type { NotedAt, Possessions } from './possessions.ts';

/** Why `read` has stopped: nothing is left for now; there was no room for more; the peer has ended, or broken TLS. */
export type ReadStop = 'dry' | 'full' | 'ended' | 'broken';

/**
 * TLS with one peer, without a socket: what the peer has sent is fed, what is to be sent is taken.
 * The memory it has outside of the runtime is given back by `free`, and by nobody else; afterwards every call is in vain.
 * OpenSSL tells errors apart by what stands in a queue of the thread's. Others of the thread fill that as well: it is
 * emptied before it is looked at, and left empty.
 */
export class TlsSession {
  readonly #calls: Calls;
  readonly #owned: Possessions;
  readonly #notedAt: NotedAt;
  #ssl: Place;
  #incoming: Place;
  #outgoing: Place;
  #stop: ReadStop = 'dry';
  /** Towards a backend; null towards a client. */
  readonly #asked: TlsClientOptions | null;
  /** The last one that was told of. */
  #known: Place = NOWHERE;

  /** `asked`: null for the server's side. Throws where memory is short. */
  constructor(calls: Calls, owned: Possessions, context: TlsContext, asked: TlsClientOptions | null) {
    this.#calls = calls;
    this.#owned = owned;
    this.#asked = asked;
    this.#ssl = calls.sslNew(context.place);
    if (this.#ssl === NOWHERE) throw new Error(takeError(calls).text);
    this.#notedAt = owned.note('session', this.#ssl);
    this.#incoming = calls.memory();
    this.#outgoing = calls.memory();
    calls.sslMemories(this.#ssl, this.#incoming, this.#outgoing);
    if (asked === null) calls.sslAccept(this.#ssl);
    else this.#ask(asked);
  }

  #ask({ serverName, session }: TlsClientOptions): void {
    const { sessionFree, sessionOf, sslAskFor, sslConnect, sslResume } = this.#calls;
    sslConnect(this.#ssl);
    if (askedName(serverName) !== null) sslAskFor(this.#ssl, Buffer.from(`${serverName}\0`, 'latin1'));
    if (session === undefined) return;
    const earlier = sessionOf(session);
    if (earlier === NOWHERE) return this.#calls.errorClear();
    sslResume(this.#ssl, earlier);
    sessionFree(earlier);
  }

  /** Why the last `read` stopped. */
  get stop(): ReadStop {
    return this.#stop;
  }

  /** Takes what the peer has sent; the bytes may change afterwards. */
  feed(bytes: Uint8Array): void {
    if (this.#ssl !== NOWHERE) this.#calls.memoryWrite(this.#incoming, bytes, bytes.length);
  }

  /** Goes on with the handshake: true when it is whole, null while the peer has to say more. */
  handshake(): TlsFault | true | null {
    if (this.#ssl === NOWHERE) return null;
    const { errorClear, sslError, sslHandshake } = this.#calls;
    errorClear();
    const returned = sslHandshake(this.#ssl);
    if (returned === OK) return true;
    return isWaiting(sslError(this.#ssl, returned)) ? null : this.#handshakeFault();
  }

  /** Reads what was inside of TLS into `room`; returns how many octets that were. */
  read(room: Uint8Array): number {
    const { errorClear, memoryPending, sslRead } = this.#calls;
    errorClear();
    let read = 0;
    this.#stop = 'dry';
    while (this.#ssl !== NOWHERE) {
      const left = room.length - read;
      const returned = sslRead(this.#ssl, read === 0 ? room : room.subarray(read), left);
      if (returned <= 0) {
        this.#stop = this.#stopFor(returned);
        break;
      }
      read += returned;
      if (returned === left) {
        this.#stop = 'full';
        break;
      }
      // A record gives less than there is room for when it is over; asking for the next would cost more than this does.
      if (memoryPending(this.#incoming) === 0) break;
    }
    return read;
  }

  /** False where it is broken. */
  write(bytes: Uint8Array): boolean {
    if (this.#ssl === NOWHERE) return true;
    if (this.#calls.sslWrite(this.#ssl, bytes, bytes.length) === bytes.length) return true;
    this.#calls.errorClear();
    return false;
  }

  /** Tells the peer that nothing more comes. */
  end(): void {
    if (this.#ssl === NOWHERE) return;
    this.#calls.sslShutdown(this.#ssl);
    this.#calls.errorClear();
  }

  /** What is to be sent; null where there is nothing. */
  take(): Uint8Array | null {
    if (this.#ssl === NOWHERE) return null;
    const octets = this.#calls.memoryPending(this.#outgoing);
    if (octets <= 0) return null;
    const bytes = Buffer.allocUnsafe(octets);
    this.#calls.memoryRead(this.#outgoing, bytes, octets);
    return bytes;
  }

  /** Only when the handshake is whole. `serverName`: what a client has asked for. */
  info(serverName: string | null): TlsInfo {
    const { cipherName, sslCipher, sslReused, sslVersion } = this.#calls;
    return {
      version: sslVersion(this.#ssl),
      cipher: cipherName(sslCipher(this.#ssl)),
      serverName: this.#asked === null ? serverName : askedName(this.#asked.serverName),
      resumed: sslReused(this.#ssl) === OK,
      peer: this.#peer(),
    };
  }

  /** Tells of a session that a backend has given since this was called last. */
  noteSession(): void {
    const { onSession } = this.#asked ?? {};
    if (onSession === undefined || this.#ssl === NOWHERE) return;
    const { sessionDer, sessionResumable, sslSession } = this.#calls;
    const session = sslSession(this.#ssl);
    if (session === this.#known || session === NOWHERE || sessionResumable(session) !== OK) return;
    this.#known = session;
    const der = Buffer.allocUnsafeSlow(sessionDer(session, null));
    sessionDer(session, der);
    onSession(der);
  }

  free(): void {
    if (this.#ssl === NOWHERE) return;
    this.#owned.strike('session', this.#notedAt);
    this.#calls.sslFree(this.#ssl); // and with it both memories
    this.#ssl = this.#incoming = this.#outgoing = NOWHERE;
  }

  #stopFor(returned: number): ReadStop {
    const error = this.#calls.sslError(this.#ssl, returned);
    if (isWaiting(error)) return 'dry';
    this.#calls.errorClear();
    return error === ERROR.ZERO_RETURN ? 'ended' : 'broken';
  }

  #peer(): TlsInfo['peer'] {
    const { certificateDer, certificateFree, sslPeer, sslVerified } = this.#calls;
    const certificate = sslPeer(this.#ssl);
    if (certificate === NOWHERE) return null;
    const der = Buffer.allocUnsafeSlow(certificateDer(certificate, null));
    certificateDer(certificate, der);
    certificateFree(certificate);
    const shown = new X509Certificate(der).toLegacyObject();
    const fault = verifyFault(this.#calls, sslVerified(this.#ssl));
    return peerOf(shown, this.#asked === null ? fault : (fault ?? nameFault(this.#asked.serverName, shown)));
  }

  #handshakeFault(): TlsFault {
    const fault = takeError(this.#calls);
    const why = verifyFault(this.#calls, this.#calls.sslVerified(this.#ssl));
    if (this.#asked !== null || fault.code !== 'certificate' || why === null) return fault;
    return { code: 'certificate', text: `the client's certificate is not accepted: ${why}` };
  }
}

function isWaiting(error: number): boolean {
  return error === ERROR.WANT_READ || error === ERROR.WANT_WRITE;
}
