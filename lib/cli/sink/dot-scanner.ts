/** Finds the end of DATA in a stream of chunks, in constant memory. */
export interface DotScanner {
  /** Begins a message: the next byte is the first of its first line. */
  restart(): void;
  /**
   * Looks on from `from`, the first byte not yet looked at. Returns the offset after the line with the
   * lone dot (RFC 5321 section 4.1.1.4), or -1 where the message goes on beyond this chunk.
   */
  scan(chunk: Uint8Array, from: number): number;
}

const END = Buffer.from('\r\n.\r\n', 'latin1');
const CR = 13;

/** A scanner at the start of a message. Only `CRLF.CRLF` ends one: bare CR and LF are content. */
export function createDotScanner(): DotScanner {
  // Octets of END that the bytes so far end with. At the start of a message that is its CRLF: a message
  // may consist of the dot line alone.
  let matched = 2;

  /** The longest start of END that is also the end of what was seen, with one more byte. */
  function step(byte: number | undefined): void {
    if (byte === END[matched]) matched++;
    else matched = byte === CR ? 1 : 0;
  }

  return {
    restart() {
      matched = 2;
    },
    scan(chunk, from) {
      let at = from;
      // Finish by hand what an earlier chunk began; the rest is one native search.
      while (at < chunk.length && matched > 0) {
        step(chunk[at++]);
        if (matched === END.length) return at;
      }
      if (at === chunk.length) return -1;
      const found = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).indexOf(END, at);
      if (found >= 0) return found + END.length;
      for (at = Math.max(at, chunk.length - END.length + 1); at < chunk.length; at++) step(chunk[at]);
      return -1;
    },
  };
}
