import { type Address, ipBytes, ipFromBytes } from '../core/address.ts';

/**
 * Who is counted together: an IPv4 address, an IPv6 network of some bits, or everybody on a Unix socket. Numbers, not
 * text: a table in shared memory can hold them whole, so that two clients are never taken for one.
 */
export interface ClientKey {
  /** The network's 128 bits, those beyond its prefix zero; an IPv4 address is in the last word. */
  readonly words: Int32Array;
  /** 1 to 128: an IPv6 network of so many bits; `IPV4_KIND`; `UNIX_KIND`. Never 0. */
  kind: number;
}

export const IPV4_KIND = 129;
export const UNIX_KIND = 130;

export function createClientKey(): ClientKey {
  return { words: new Int32Array(4), kind: UNIX_KIND };
}

/** Writes a client's key over `key`, which is used again and again: no allocation for IPv4. */
export function readClientKey(address: Address, ipv6Prefix: number, key: ClientKey): void {
  const { words } = key;
  words.fill(0);
  if (address.family === 'unix') {
    key.kind = UNIX_KIND;
  } else if (address.family === 'ipv4') {
    key.kind = IPV4_KIND;
    words[3] = ipv4Word(address.host);
  } else {
    key.kind = ipv6Prefix;
    readIpv6(address.host, words);
    for (let at = 0; at < 4; at++) words[at] = (words[at] as number) & wordMask(ipv6Prefix - at * 32);
  }
}

/** The key as text, for those who have no table: `192.0.2.1`, `20010db800000000/64`, `unix`. */
export function clientKeyText({ words, kind }: ClientKey): string {
  if (kind === UNIX_KIND) return 'unix';
  const bytes = Buffer.alloc(16);
  for (let at = 0; at < 4; at++) bytes.writeInt32BE(words[at] as number, at * 4);
  if (kind === IPV4_KIND) return ipFromBytes(bytes.subarray(12));
  return `${bytes.toString('hex', 0, Math.ceil(kind / 8))}/${kind}`;
}

/** Whether both are the same client. */
export function isSameClient(a: ClientKey, b: ClientKey): boolean {
  return a.kind === b.kind && a.words.every((word, at) => word === b.words[at]);
}

function wordMask(bits: number): number {
  if (bits >= 32) return -1;
  return bits <= 0 ? 0 : -1 << (32 - bits);
}

const [DOT, ZERO, COLON] = [46, 48, 58];

function ipv4Word(host: string): number {
  let [word, octet] = [0, 0];
  for (let at = 0; at < host.length; at++) {
    const code = host.charCodeAt(at);
    if (code === DOT) {
      word = (word << 8) | octet;
      octet = 0;
    } else octet = octet * 10 + code - ZERO;
  }
  return (word << 8) | octet;
}

/** Reads the usual forms in one walk; what has a dotted tail or a zone takes the longer way. */
function readIpv6(host: string, words: Int32Array): void {
  let [group, digits, groups, gap] = [0, 0, 0, -1];
  const place = (at: number, value: number): void => {
    words[at >> 1] = (words[at >> 1] as number) | (value << (at % 2 === 0 ? 16 : 0));
  };
  for (let at = 0; at <= host.length; at++) {
    const code = at < host.length ? host.charCodeAt(at) : COLON;
    if (code === COLON) {
      if (digits > 0) place(groups++, group);
      else if (at > 0 && at < host.length) gap = groups;
      [group, digits] = [0, 0];
      continue;
    }
    const digit = code <= 57 ? code - ZERO : (code | 32) - 87;
    if (digit < 0 || digit > 15 || groups > 7) return readUnusual(host, words);
    group = (group << 4) | digit;
    digits++;
  }
  if (gap >= 0 && groups < 8) closeGap(words, gap, groups);
}

/** Moves what came after `::` to the end. */
function closeGap(words: Int32Array, gap: number, groups: number): void {
  const value = (at: number): number => ((words[at >> 1] as number) >>> (at % 2 === 0 ? 16 : 0)) & 0xffff;
  const tail: number[] = [];
  for (let at = gap; at < groups; at++) tail.push(value(at));
  for (let at = gap; at < 8; at++) {
    const fromTail = at - (8 - tail.length);
    const next = fromTail >= 0 ? (tail[fromTail] as number) : 0;
    const shift = at % 2 === 0 ? 16 : 0;
    words[at >> 1] = ((words[at >> 1] as number) & ~(0xffff << shift)) | (next << shift);
  }
}

function readUnusual(host: string, words: Int32Array): void {
  const bytes = ipBytes(host);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < 4; at++) words[at] = view.getInt32(at * 4);
}

/**
 * A keyed 32-bit hash of a key: HalfSipHash-1-3 (Aumasson and Bernstein 2012, the 32-bit form the Linux kernel uses
 * for its tables). Without the two words of `seed` nobody can choose addresses that fall together.
 */
export function hashClient({ words, kind }: ClientKey, seed0: number, seed1: number): number {
  let [v0, v1, v2, v3] = [seed0, seed1, 0x6c796765 ^ seed0, 0x74656462 ^ seed1];
  for (let at = 0; at < 8; at++) {
    // Four words, the kind, and three rounds to finish.
    const word = at < 4 ? (words[at] as number) : at === 4 ? kind : 0;
    if (at === 5) v2 ^= 0xff;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}
