/** CRC-32C (Castagnoli), the checksum of RFC 4960 appendix B, one table of 256 words. */

const REFLECTED_POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, octet) => {
  let word = octet;
  for (let bit = 0; bit < 8; bit++) word = word & 1 ? (word >>> 1) ^ REFLECTED_POLYNOMIAL : word >>> 1;
  return word;
});

/**
 * The CRC-32C of `bytes[start, end)`, an unsigned 32-bit number. `before` is the checksum of what precedes
 * these octets, so that a message in several pieces is summed without joining them.
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, before = 0): number {
  let sum = ~before;
  for (let at = start; at < end; at++) sum = (sum >>> 8) ^ (TABLE[(sum ^ (bytes[at] ?? 0)) & 0xff] ?? 0);
  return ~sum >>> 0;
}
