import { DIGIT_0, DIGIT_2, DIGIT_4, DIGIT_5, isDigit, NUL } from './octets.ts';
import { ReplyReader } from './reply.ts';

/**
 * What a backend's first bytes have come to:
 * - `more`: undecided; hold the bytes and wait;
 * - `good`: a whole first line with code 220, last or not: the backend serves this client;
 * - `busy`: a whole first line with a code from 400 to 599: its word to this client, or a reason to try another;
 * - `bad`: not the greeting of a mail server.
 */
export type GreetingVerdict = 'more' | 'good' | 'busy' | 'bad';

/**
 * Why a greeting is bad: `not-smtp` (no reply line), `wrong-code` (a digit that leads to neither 220 nor a refusal),
 * `nul`, `bare-newline` (LF without CR), `oversize` (REPLY_LINE_OCTETS and no CRLF).
 */
export type GreetingFault = 'not-smtp' | 'wrong-code' | 'nul' | 'bare-newline' | 'oversize';

/**
 * Decides on a backend before anything of it reaches the client (RFC 5321 section 3.1). The first line is enough: a
 * `220-` line is good as soon as it is whole, since postscreen pauses behind it on purpose.
 *
 * `bad` falls at the first octet that allows no other verdict. Verdict, `code`, `reason` and `consumed` depend on the
 * bytes only, never on how they were cut. The caller keeps the bytes: at most REPLY_LINE_OCTETS and one chunk.
 */
export interface GreetingGate {
  readonly verdict: GreetingVerdict;
  /** The first line's code once the verdict is `good` or `busy`, otherwise 0. */
  readonly code: number;
  /** Whether the first line is the greeting's last one, too; false while undecided. */
  readonly last: boolean;
  /** Why the verdict is `bad`, otherwise null. */
  readonly reason: GreetingFault | null;
  /** Octets looked at, over all chunks: up to the line's CRLF, or to the octet that was too much. */
  readonly consumed: number;
  /** The backend's next bytes; returns the verdict. Once it is decided, further bytes are not looked at. */
  offer(bytes: Uint8Array): GreetingVerdict;
}

/** A gate for one connection to a backend. */
export function createGreetingGate(): GreetingGate {
  return new Gate();
}

const CODE_OCTETS = 3;

class Gate implements GreetingGate {
  verdict: GreetingVerdict = 'more';
  code = 0;
  last = false;
  reason: GreetingFault | null = null;
  consumed = 0;

  private readonly reply = new ReplyReader();
  private firstOctet = 0;

  offer(bytes: Uint8Array): GreetingVerdict {
    if (this.verdict !== 'more') return this.verdict;
    // The reader would take any code to its line's end; a wrong one is known at the digit that makes it so.
    const codeOctets = Math.min(bytes.length, CODE_OCTETS - this.consumed);
    for (let at = 0; at < codeOctets; at++) {
      const reason = this.codeFault(this.consumed + at, bytes[at] ?? 0);
      if (reason !== null) return this.decide('bad', at + 1, reason);
    }
    const read = this.reply.read(bytes, 0);
    switch (this.reply.status) {
      case 'more':
        return this.decide('more', read, null);
      case 'line':
      case 'end':
        this.code = this.reply.code;
        this.last = this.reply.status === 'end';
        return this.decide(this.code === 220 ? 'good' : 'busy', read, null);
      case 'nul':
      case 'bare-newline':
        return this.decide('bad', read, this.reply.status);
      case 'line-oversize':
      case 'reply-oversize':
        return this.decide('bad', read, 'oversize');
      case 'syntax':
        return this.decide('bad', read, 'not-smtp');
    }
  }

  private codeFault(position: number, octet: number): GreetingFault | null {
    if (!isDigit(octet)) return octet === NUL ? 'nul' : 'not-smtp';
    if (position === 0) {
      this.firstOctet = octet;
      return octet === DIGIT_2 || octet === DIGIT_4 || octet === DIGIT_5 ? null : 'wrong-code';
    }
    if (this.firstOctet !== DIGIT_2) return null;
    return octet === (position === 1 ? DIGIT_2 : DIGIT_0) ? null : 'wrong-code';
  }

  private decide(verdict: GreetingVerdict, read: number, reason: GreetingFault | null): GreetingVerdict {
    this.consumed += read;
    this.verdict = verdict;
    this.reason = reason;
    return verdict;
  }
}
