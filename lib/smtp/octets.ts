/** The octets that the line grammar of RFC 5321 turns on. */
export const NUL = 0x00;
export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const HYPHEN = 0x2d;
export const DIGIT_0 = 0x30;
export const DIGIT_2 = 0x32;
export const DIGIT_4 = 0x34;
export const DIGIT_5 = 0x35;
export const EQUALS = 0x3d;
/** First octet of a TLS record that carries a handshake (RFC 8446 section 5.1). */
export const TLS_HANDSHAKE = 0x16;

/** True for an ASCII decimal digit. */
export function isDigit(octet: number): boolean {
  return octet >= DIGIT_0 && octet <= DIGIT_0 + 9;
}
