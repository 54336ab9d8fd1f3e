import { REPLY_LINE_OCTETS, REPLY_OCTETS } from '../core/limits.ts';
import { CAPABILITY_WORDS, capabilityBit } from './capabilities.ts';
import { narrow, settle } from './keyword.ts';
import { CR, DIGIT_0, DIGIT_2, DIGIT_5, EQUALS, HYPHEN, isDigit, LF, NUL, SPACE } from './octets.ts';

/**
 * How far a reply has come:
 * - `more`: within a line;
 * - `line`: a line has just ended and the reply goes on;
 * - `end`: the reply's last line has just ended;
 * - anything else: this is no reply, and the reader reads no further.
 */
export type ReplyStatus = 'more' | 'line' | 'end' | ReplyFault;

/**
 * What is wrong with a reply: `syntax` (no code from 200 to 599, no separator, or a line with another code than
 * the first), `nul`, `bare-newline` (LF without CR), or a line or a whole reply beyond its bound.
 */
export type ReplyFault = 'syntax' | 'nul' | 'bare-newline' | 'line-oversize' | 'reply-oversize';

const AUTH = capabilityBit('AUTH');
/** Octets of a code and its separator. */
const HEAD_OCTETS = 4;

/**
 * Reads replies (RFC 5321 section 4.2) out of chunks cut anywhere: `NNN-text` lines, then `NNN text` or `NNN`.
 *
 * Only CRLF ends a line. A CR alone is text, as no client takes it for more; a LF alone is a fault, because some
 * clients take it for a line end, and then they and we would see different replies. A bound is overstepped at
 * the octet that fills it without ending what it bounds, so that the verdict falls at the same octet however the
 * bytes are cut. State is a handful of integers; nothing is allocated after construction.
 */
export class ReplyReader {
  status: ReplyStatus = 'more';
  /** The code, 200 to 599, from the end of the first line on; while that is still on its way, a part of it. */
  code = 0;
  /** Mask of the known keywords that lines 2 to n begin with; meaningful for replies to EHLO and LHLO. */
  capabilities = 0;
  /** Where the fault is `syntax` for nothing but a code other than the first line's: that code; otherwise 0. */
  otherCode = 0;

  /** Octets of the lines before this one, and of this one so far. */
  private linesOctets = 0;
  private lineOctets = 0;
  private firstLine = true;
  private lineCode = 0;
  private separator = 0;
  private afterCr = false;
  /** Keyword candidates of this line; 0 once its first word is known, ruled out, or of no interest. */
  private candidates = 0;

  /**
   * Reads from `bytes[from]` to the end of a line, to a fault, or to the end of the chunk, and returns the offset
   * behind what it read. Look at `status` after each call; call again while bytes are left. After `end` it begins
   * the next reply; after a fault it reads nothing.
   */
  read(bytes: Uint8Array, from: number): number {
    if (this.status === 'line') this.beginLine();
    else if (this.status === 'end') this.beginReply();
    else if (this.status !== 'more') return from;

    const carried = this.lineOctets;
    const room = Math.min(REPLY_LINE_OCTETS, REPLY_OCTETS - this.linesOctets) - carried;
    const end = Math.min(bytes.length, from + room);
    let at = from;
    for (let position = carried; position < HEAD_OCTETS && at < end; position++) {
      if (!this.head(position, bytes[at++] ?? 0)) return this.stop('syntax', at);
    }
    if (this.candidates !== 0) at = this.firstWord(bytes, at, end, carried - from);
    const bareCode = this.separator === CR;
    let afterCr = this.afterCr;
    while (at < end) {
      const octet = bytes[at++] ?? 0;
      if (octet === LF)
        return afterCr ? this.endLine(at, carried + at - from) : this.stop('bare-newline', at);
      if (octet === NUL) return this.stop('nul', at);
      // `250` and CR can only be the line that has no text.
      if (bareCode) return this.stop('syntax', at);
      afterCr = octet === CR;
    }
    this.afterCr = afterCr;
    this.lineOctets = carried + at - from;
    if (this.lineOctets >= REPLY_LINE_OCTETS) this.status = 'line-oversize';
    else if (this.linesOctets + this.lineOctets >= REPLY_OCTETS) this.status = 'reply-oversize';
    else this.status = 'more';
    return at;
  }

  /** One octet of the code or its separator; false where it cannot stand. */
  private head(position: number, octet: number): boolean {
    if (position < 3) {
      if (!isDigit(octet) || (position === 0 && (octet < DIGIT_2 || octet > DIGIT_5))) return false;
      this.lineCode = this.lineCode * 10 + octet - DIGIT_0;
      return true;
    }
    this.separator = octet;
    this.afterCr = octet === CR;
    const separates = octet === SPACE || octet === HYPHEN || octet === CR;
    if (this.firstLine) this.code = this.lineCode;
    else if (this.lineCode !== this.code) {
      if (separates) this.otherCode = this.lineCode;
      return false;
    }
    if (octet !== CR && !this.firstLine) this.candidates = CAPABILITY_WORDS.all;
    return separates;
  }

  /** Narrows the first word of the line; `shift + at` is the octet's position in the line. */
  private firstWord(bytes: Uint8Array, from: number, end: number, shift: number): number {
    let candidates = this.candidates;
    let at = from;
    for (; candidates !== 0 && at < end; at++) {
      const octet = bytes[at] ?? 0;
      const length = shift + at - HEAD_OCTETS;
      if (octet === SPACE || octet === CR) {
        this.capabilities |= settle(CAPABILITY_WORDS, candidates, length);
        candidates = 0;
        break;
      }
      // `AUTH=LOGIN PLAIN`, from before RFC 4954, is still offered for the sake of old clients.
      if (octet === EQUALS) this.capabilities |= settle(CAPABILITY_WORDS, candidates & AUTH, length);
      candidates = narrow(CAPABILITY_WORDS, candidates, length, octet);
      if (candidates === 0) break;
    }
    this.candidates = candidates;
    return at;
  }

  private endLine(at: number, lineOctets: number): number {
    if (this.separator !== HYPHEN) return this.stop('end', at);
    this.linesOctets += lineOctets;
    return this.stop(this.linesOctets >= REPLY_OCTETS ? 'reply-oversize' : 'line', at);
  }

  private stop(status: ReplyStatus, at: number): number {
    this.status = status;
    return at;
  }

  private beginReply(): void {
    this.beginLine();
    this.firstLine = true;
    this.linesOctets = 0;
    this.capabilities = 0;
    this.code = 0;
  }

  private beginLine(): void {
    this.status = 'more';
    this.firstLine = false;
    this.lineOctets = 0;
    this.lineCode = 0;
    this.separator = 0;
    this.afterCr = false;
    this.candidates = 0;
  }
}
