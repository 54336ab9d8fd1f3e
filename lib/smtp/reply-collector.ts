import { ReplyReader, type ReplyStatus } from './reply.ts';

/** A whole reply (RFC 5321 section 4.2), with its text. */
export interface WholeReply {
  readonly code: number;
  /** What stands behind the code on each line; the backend's word: escape it before showing it. */
  readonly lines: readonly string[];
  /** Mask of the known keywords in lines 2 to n; see capabilities.ts. */
  readonly capabilities: number;
  /** As it came, line ends included. */
  readonly raw: Uint8Array;
}

/**
 * Keeps replies that we ask for ourselves, where words and not only codes matter. At most REPLY_OCTETS are held, which
 * the reader sees to.
 */
export class ReplyCollector {
  readonly #reader = new ReplyReader();
  #pieces: Uint8Array[] = [];

  /** `end` once a reply is whole; `more` and `line` before; anything else is a fault, and nothing is read any more. */
  get status(): ReplyStatus {
    return this.#reader.status;
  }

  /**
   * Reads from `bytes[from]` to the end of a reply, to a fault, or to the end of the chunk, and returns the offset behind
   * what it read. After `end` the next call begins another reply. The view is not kept.
   */
  read(bytes: Uint8Array, from: number): number {
    if (this.#reader.status === 'end') this.#pieces = [];
    let at = from;
    do {
      at = this.#reader.read(bytes, at);
    } while (at < bytes.length && (this.#reader.status === 'line' || this.#reader.status === 'more'));
    if (at > from) this.#pieces.push(Uint8Array.from(bytes.subarray(from, at)));
    return at;
  }

  /** All that was read of the reply so far. */
  get raw(): Uint8Array {
    return Buffer.concat(this.#pieces);
  }

  /** The reply; to be asked for once it is whole. */
  reply(): WholeReply {
    const { raw } = this;
    const lines = Buffer.from(raw).toString('latin1').split('\r\n').slice(0, -1);
    const { code, capabilities } = this.#reader;
    return { code, lines: lines.map(line => line.slice(4)), capabilities, raw };
  }
}
