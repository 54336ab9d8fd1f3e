/**
 * Finding which of a few known words a stream spells, an octet at a time and without keeping any of it.
 *
 * Every word is one bit. A reader starts with the mask of all words it would take, and each octet takes away
 * the words that have another octet at that position. What has to be carried from chunk to chunk is the mask and
 * the position: two integers, wherever the stream was cut.
 */
export interface KeywordTable {
  /** The mask with every word's bit set; word number i of the list has the bit `1 << i`. */
  readonly all: number;
  /** One row of 256 masks for each position: the words with that octet there. The last row is empty. */
  readonly byOctet: Int32Array;
  /** For each length, the words of exactly that length. */
  readonly byLength: Int32Array;
}

/** A mask is a 32-bit integer and stays positive. */
const MOST_WORDS = 31;

/** The table for at most 31 words in upper-case ASCII. They are matched in any case (RFC 5321 section 2.4). */
export function keywordTable(words: readonly string[]): KeywordTable {
  if (words.length > MOST_WORDS) throw new RangeError(`more than ${MOST_WORDS} keywords`);
  const longest = Math.max(0, ...words.map(word => word.length));
  const byOctet = new Int32Array((longest + 1) * 256);
  const byLength = new Int32Array(longest + 1);
  for (const [number, word] of words.entries()) {
    const bit = 1 << number;
    add(byLength, word.length, bit);
    for (let position = 0; position < word.length; position++) {
      const row = position << 8;
      const upper = word.charCodeAt(position);
      const lower = word.toLowerCase().charCodeAt(position);
      add(byOctet, row | upper, bit);
      if (lower !== upper) add(byOctet, row | lower, bit);
    }
  }
  return { all: 2 ** words.length - 1, byOctet, byLength };
}

function add(masks: Int32Array, at: number, bit: number): void {
  masks[at] = (masks[at] ?? 0) | bit;
}

/** The candidates that have `octet` at `position`. Once it is 0 there is no use in going on. */
export function narrow(table: KeywordTable, candidates: number, position: number, octet: number): number {
  return candidates & (table.byOctet[(position << 8) | octet] ?? 0);
}

/** The candidate that ends where `length` octets have been read, or 0. */
export function settle(table: KeywordTable, candidates: number, length: number): number {
  return candidates & (table.byLength[length] ?? 0);
}
