import type { Address } from '../../lib/core/address.ts';
import { ipAddress, ipFromBytes } from '../../lib/core/address.ts';
import { decodeProxyHeader } from '../../lib/proxy-protocol/decode.ts';
import type { ProxyDecoded, ProxyHeader } from '../../lib/proxy-protocol/header.ts';

const { SMTPLB_SEED = '20261' } = process.env;
/** Replays a failed run: the seed is printed with every property. */
export const seed = Number(SMTPLB_SEED);

/** Answers whole numbers from 0 to below `bound`; the same ones for the same seed (xorshift, 32 bits). */
export type Random = (bound: number) => number;
export function randomFrom(start: number): Random {
  let state = start | 1;
  return bound => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

export function ip(host: string, port: number): Address {
  const address = ipAddress(host, port);
  if (address === undefined) throw new TypeError(`not an address: ${host}`);
  return address;
}

export function ascii(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

/** Octets written as hexadecimal digits and spaces. */
export function hex(text: string): Uint8Array {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

const SIGNATURE = '0d0a0d0a000d0a515549540a';

/** A version 2 header by hand: the length field fits unless the test lies on purpose. */
export function v2(
  command: number,
  family: number,
  payload: Uint8Array,
  length = payload.length,
): Uint8Array {
  const head = Buffer.from(`${SIGNATURE}00000000`, 'hex');
  head[12] = command;
  head[13] = family;
  head.writeUInt16BE(length, 14);
  return Buffer.concat([head, payload]);
}

export function tlv(type: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(type, value.length >> 8, value.length & 0xff), value]);
}

/** 192.0.2.1:4660 to 198.51.100.2:25, as a version 2 address block. */
export const IPV4_BLOCK = hex('c0000201 c6336402 1234 0019');

export function headerOf(decoded: ProxyDecoded): ProxyHeader | undefined {
  return decoded.status === 'valid' ? decoded.header : undefined;
}

/** The reason for which octets are refused, or the status where they are not. */
export function refusal(bytes: Uint8Array): string {
  const decoded = decodeProxyHeader(bytes);
  return decoded.status === 'invalid' ? decoded.reason : decoded.status;
}

/** An address as `core` would write it, so that what comes back can be compared as it is. */
export function randomAddress(random: Random, family: Address['family']): Address {
  if (family === 'unix') return { family, path: `/run/${'x'.repeat(random(104))}` };
  const bytes = Uint8Array.from({ length: family === 'ipv4' ? 4 : 16 }, () => random(256));
  if (family === 'ipv6') {
    // Runs of zeros, at any place, are what is hard in an IPv6 address.
    const from = random(17);
    bytes.fill(0, from, from + random(17));
  }
  return ip(ipFromBytes(bytes), random(65_536));
}
