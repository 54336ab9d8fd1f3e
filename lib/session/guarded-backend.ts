import type { Address } from '../core/address.ts';
import { CommandGuard } from '../smtp/command-guard.ts';
import { FORBIDDEN_WORDS } from '../smtp/forbidden-words.ts';
import { createHelloRewriter } from '../smtp/hello-rewriter.ts';
import { ReplyReader, type ReplyStatus } from '../smtp/reply.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';

/**
 * The connection to a backend that takes our word for who the client is, as the session's parts see it: what is written
 * is guarded (see command-guard.ts), and replies to EHLO come without what the client may not use. All else passes as it
 * is. It cannot be given to a transport's relay: what is relayed must be guarded as well.
 */
export class GuardedBackend implements Connection, ConnectionHandler {
  handler: ConnectionHandler;
  /** The client has closed its direction. */
  #clientEnded = false;
  readonly #inner: Connection;
  readonly #guard = new CommandGuard();
  readonly #reader = new ReplyReader();
  readonly #hellos = createHelloRewriter({ cut: FORBIDDEN_WORDS, add: [] });
  readonly #onBroken: (cause: 'forged-identity' | 'backend-protocol') => void;
  /** The reply that is being read answers EHLO; null between replies. */
  #inHello: boolean | null = null;
  /** What must not go on before a reply; at most what the session writes before it minds that it should wait. */
  #held: Uint8Array[] = [];
  #over = false;
  /** It is the backend that cannot be followed. */
  #nonsense = false;

  /**
   * `onBroken`: the client has said what it must not, or what nobody can follow, and nothing of it was passed on; or the
   * backend's replies are none.
   */
  constructor(inner: Connection, onBroken: (cause: 'forged-identity' | 'backend-protocol') => void) {
    this.#inner = inner;
    this.#onBroken = onBroken;
    this.handler = inner.handler;
    inner.handler = this;
  }

  get remote(): Address {
    return this.#inner.remote;
  }

  get local(): Address {
    return this.#inner.local;
  }

  get peerEnded(): boolean {
    return this.#inner.peerEnded;
  }

  /** The greeting, or its beginning, which the session was given before there was a guard. */
  greeted(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) this.#observe(piece);
  }

  write(bytes: Uint8Array): boolean {
    if (this.#over) return true;
    if (this.#held.length === 0) return this.#pass(bytes);
    this.#held.push(Uint8Array.from(bytes));
    return false;
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  keepAlive(): void {
    this.#inner.keepAlive();
  }

  end(): void {
    this.#clientEnded = true;
    if (this.#held.length === 0) this.#inner.end();
  }

  destroy(): void {
    this.#over = true;
    this.#inner.destroy();
  }

  reset(): void {
    this.#over = true;
    this.#inner.reset();
  }

  onConnect(): void {}

  onBytes(bytes: Uint8Array): void {
    const shown = this.#observe(bytes);
    if (shown.length > 0) this.handler.onBytes(shown);
    if (this.#held.length > 0 && !this.#over && this.#guard.state !== 'waiting') this.#release();
    else if (this.#guard.state === 'broken') this.#broken();
  }

  onEnd(): void {
    this.handler.onEnd();
  }

  onDrain(): void {
    if (this.#held.length === 0) this.handler.onDrain();
  }

  onClose(reason: CloseReason): void {
    this.#over = true;
    this.handler.onClose(reason);
  }

  /** Returns whether there is room for more. */
  #pass(bytes: Uint8Array): boolean {
    const length = this.#guard.read(bytes, 0);
    if (this.#guard.state === 'broken') {
      this.#broken();
      return false;
    }
    const hasRoom = length === 0 || this.#inner.write(bytes.subarray(0, length));
    if (length === bytes.length) return hasRoom;
    this.#held.push(Uint8Array.from(bytes.subarray(length)));
    return false;
  }

  #release(): void {
    const held = this.#held.splice(0);
    let hasRoom = true;
    for (const bytes of held) hasRoom = this.write(bytes);
    if (this.#held.length > 0 || this.#over) return;
    if (this.#clientEnded) this.#inner.end();
    else if (hasRoom) this.handler.onDrain();
  }

  /** Reads replies, and returns what the client is to see of them. */
  #observe(bytes: Uint8Array): Uint8Array {
    const shown: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; ) {
      this.#inHello ??= this.#guard.answering === 'hello';
      const reader = this.#inHello ? this.#hellos : this.#reader;
      const next = reader.read(bytes, at);
      shown.push(this.#inHello ? this.#hellos.take() : bytes.subarray(at, next));
      const { status } = reader;
      if (isFault(status)) {
        // Which reply answers what can no longer be told, and with that what the backend reads as commands.
        this.#guard.state = 'broken';
        this.#nonsense = true;
        break;
      }
      at = next;
      if (status !== 'end') continue;
      this.#inHello = null;
      this.#guard.replied(reader.code, reader.capabilities);
    }
    return shown.length === 1 ? (shown[0] as Uint8Array) : Buffer.concat(shown);
  }

  #broken(): void {
    if (this.#over) return;
    this.#over = true;
    this.#held = [];
    this.#onBroken(this.#nonsense ? 'backend-protocol' : 'forged-identity');
  }
}

function isFault(status: ReplyStatus): boolean {
  return status !== 'more' && status !== 'line' && status !== 'end';
}
