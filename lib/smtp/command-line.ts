import { COMMAND_LINES_OCTETS } from '../core/limits.ts';
import { CR, LF, NUL, SPACE, TAB } from './octets.ts';

/**
 * - `more`: within a line;
 * - `line`: a line has just ended with CRLF;
 * - `malformed`: a line has just ended with CRLF, and has a NUL, or a CR or LF alone, within. Some servers take such a LF
 *   for the end of a command, so nobody can say how many commands it is;
 * - `oversize`: COMMAND_LINES_OCTETS, and no end.
 */
export type CommandLineStatus = 'more' | 'line' | 'malformed' | 'oversize';

/**
 * Reads whole command lines out of chunks cut anywhere, for who answers some of them himself. Only CRLF ends a line
 * (RFC 5321 section 2.3.8).
 */
export class CommandLineReader {
  status: CommandLineStatus = 'more';
  /** The line with its CRLF, once it is whole; what there is of it with `oversize`. A copy. */
  line: Uint8Array = new Uint8Array(0);
  private afterCr = false;
  private odd = false;
  private toSkip = 0;
  private skippingLine = false;

  /**
   * Reads from `bytes[from]` to the end of a line or of the chunk, and returns the offset behind what it read. Look at
   * `status` after each call; it begins the next line when it is called again. The view is not kept.
   */
  read(bytes: Uint8Array, from: number): number {
    if (this.status !== 'more') this.begin();
    if (this.toSkip > 0) {
      const skipped = Math.min(this.toSkip, bytes.length - from);
      this.toSkip -= skipped;
      return from + skipped;
    }
    const at = this.readLine(bytes, from);
    if (this.skippingLine && this.status !== 'more') {
      this.skippingLine = this.status === 'oversize';
      this.begin();
    }
    return at;
  }

  /** The next octets are no commands, such as the chunk of a BDAT that is refused: they are passed over. */
  skip(octets: number): void {
    this.toSkip = octets;
  }

  /** The line that was too long is refused: what is left of it is no command, and is passed over. */
  skipLine(): void {
    this.skippingLine = true;
  }

  private readLine(bytes: Uint8Array, from: number): number {
    const room = COMMAND_LINES_OCTETS - this.line.length;
    const end = Math.min(bytes.length, from + room);
    let at = from;
    while (at < end) {
      const octet = bytes[at++] as number;
      if (octet === LF && this.afterCr) {
        this.keep(bytes, from, at);
        this.status = this.odd ? 'malformed' : 'line';
        return at;
      }
      if (octet === LF || octet === NUL || this.afterCr) this.odd = true;
      this.afterCr = octet === CR;
    }
    this.keep(bytes, from, at);
    if (this.line.length >= COMMAND_LINES_OCTETS) this.status = 'oversize';
    return at;
  }

  /** Begins anew, with nothing of what was read. */
  begin(): void {
    this.status = 'more';
    this.line = new Uint8Array(0);
    this.afterCr = false;
    this.odd = false;
  }

  private keep(bytes: Uint8Array, from: number, to: number): void {
    const piece = bytes.subarray(from, to);
    this.line = this.line.length === 0 ? Uint8Array.from(piece) : Buffer.concat([this.line, piece]);
  }
}

/** The verb of a line in upper case: what stands before the first blank or the line's end. At most 16 characters. */
export function verbOf(line: Uint8Array): string {
  let end = 0;
  while (end < line.length && end < 16 && !isBlank(line[end] as number) && line[end] !== CR) end++;
  return textOf(line, 0, end).toUpperCase();
}

/** The argument of a line: what stands behind its verb, without the blanks around it and the CRLF. */
export function argumentOf(line: Uint8Array): string {
  let start = 0;
  while (start < line.length && !isBlank(line[start] as number) && line[start] !== CR) start++;
  return textOf(line, start, line.length).replace(/^[ \t]+|[ \t\r\n]+$/g, '');
}

function isBlank(octet: number): boolean {
  return octet === SPACE || octet === TAB;
}

function textOf(line: Uint8Array, from: number, to: number): string {
  return Buffer.from(line.buffer, line.byteOffset, line.length).toString('latin1', from, to);
}
