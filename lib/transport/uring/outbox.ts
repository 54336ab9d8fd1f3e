import type { MemoryAddress } from '../linux/libc.ts';
import type { Shared } from './shared.ts';

/** Octets on their way out: in a buffer that is held for them, or, where that is -1, in memory of their own. */
interface Piece {
  readonly buffer: number;
  readonly bytes: Uint8Array;
  /** Where they begin in either. */
  readonly offset: number;
  readonly length: number;
}

const NOTHING = new Uint8Array(0);

/**
 * What a connection has to send, in order. What stands in a receive buffer is sent from there and holds it for a turn;
 * when the peer turns out to be slow all of it is copied, so that nobody else's buffers wait for it.
 */
export class Outbox {
  /** Octets in all. */
  octets = 0;
  readonly #shared: Shared;
  #first: Piece | null = null;
  #rest: Piece[] | null = null;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  get empty(): boolean {
    return this.#first === null;
  }

  /** One piece at most. */
  get short(): boolean {
    return this.#rest === null;
  }

  /** Octets of the piece that is to be sent now. */
  get length(): number {
    return this.#first?.length ?? 0;
  }

  /** Where that is in memory. It stays there until it is `sent` or `keep` is called. */
  get address(): MemoryAddress {
    const { buffers, calls } = this.#shared;
    const { buffer, bytes, offset } = this.#first as Piece;
    return buffer >= 0 ? buffers.addressOf(buffer, offset) : calls.at(calls.addressOf(bytes), offset);
  }

  /** Bytes that do not change, or a view of a receive buffer that somebody holds. `slow`: the peer takes nothing now. */
  add(bytes: Uint8Array, slow: boolean): void {
    const { buffers } = this.#shared;
    const buffer = buffers.bufferOf(bytes);
    if (buffer >= 0) this.addBuffer(buffer, buffers.offsetOf(bytes), bytes.length, slow);
    else this.#add({ buffer, bytes, offset: 0, length: bytes.length });
  }

  /** As `add`, by the buffer's number. */
  addBuffer(buffer: number, offset: number, length: number, slow: boolean): void {
    this.#shared.buffers.hold(buffer);
    const piece = { buffer, bytes: NOTHING, offset, length };
    this.#add(slow ? this.#copied(piece, 0) : piece);
  }

  /** The first piece is out; the next one is the first. */
  sent(): void {
    const first = this.#first as Piece;
    this.octets -= first.length;
    this.#drop(first);
    this.#first = this.#rest?.shift() ?? null;
    if (this.#rest?.length === 0) this.#rest = null;
  }

  /** The peer has taken so many octets of the first piece, and no more for now. */
  keep(taken: number): void {
    this.octets -= taken;
    this.#first = this.#copied(this.#first as Piece, taken);
    if (this.#rest !== null) this.#rest = this.#rest.map(piece => this.#copied(piece, 0));
  }

  /** Forgets all, but for the first piece where the kernel is sending it. */
  clear(sending: boolean): void {
    for (const piece of this.#rest ?? []) this.#drop(piece);
    this.#rest = null;
    if (sending || this.#first === null) return;
    this.#drop(this.#first);
    this.#first = null;
  }

  #add(piece: Piece): void {
    this.octets += piece.length;
    if (this.#first === null) {
      this.#first = piece;
    } else {
      this.#rest ??= [];
      this.#rest.push(piece);
    }
  }

  /** The same without its first octets, in memory of its own. */
  #copied(piece: Piece, skip: number): Piece {
    const { buffer, bytes } = piece;
    const offset = piece.offset + skip;
    const length = piece.length - skip;
    if (buffer < 0) return { buffer, bytes, offset, length };
    const copy = Buffer.from(this.#shared.buffers.view(buffer, offset, offset + length));
    this.#drop(piece);
    return { buffer: -1, bytes: copy, offset: 0, length };
  }

  #drop({ buffer }: Piece): void {
    if (buffer >= 0) this.#shared.buffers.release(buffer);
  }
}
