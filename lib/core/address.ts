import { isIPv4, isIPv6 } from 'node:net';

/** An IP endpoint. `host` is a literal address in its shortest usual form, never a name, never v4-mapped. */
export interface IpAddress {
  readonly family: 'ipv4' | 'ipv6';
  readonly host: string;
  /** 0 to 65535; 0 asks for any free port when listening. */
  readonly port: number;
}

/** A Unix domain stream socket. */
export interface UnixAddress {
  readonly family: 'unix';
  readonly path: string;
}

/** Where a socket listens, connects to, or comes from. */
export type Address = IpAddress | UnixAddress;

const V4_MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * An IP endpoint from a literal host. A v4-mapped IPv6 address (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2)
 * becomes the IPv4 address it stands for, so that lists and limits see one client, not two.
 * Returns undefined where `host` is no IP address.
 */
export function ipAddress(host: string, port: number): IpAddress | undefined {
  if (isIPv4(host)) return { family: 'ipv4', host, port };
  const mapped = V4_MAPPED.exec(host)?.[1];
  if (mapped !== undefined && isIPv4(mapped)) return { family: 'ipv4', host: mapped, port };
  if (isIPv6(host)) return { family: 'ipv6', host, port };
  return undefined;
}

/** `192.0.2.1:25`, `[2001:db8::1]:25` or `unix:/run/x.sock`; the form configuration files and logs use. */
export function formatAddress(address: Address): string {
  if (address.family === 'unix') return `unix:${address.path}`;
  return address.family === 'ipv6' ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** The two halves of `host:port` or `[host]:port`. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * Splits `host:port` or `[v6]:port`; the host may be a name. Ports are decimal, 0 to 65535.
 * Returns undefined where the text is neither.
 */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([^[\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, bracketed, plain, digits] = match;
  const port = Number(digits);
  if (port > 65535) return undefined;
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : undefined;
  return plain === undefined ? undefined : { host: plain, port };
}

/**
 * Parses `192.0.2.1:25`, `[::]:25` or `unix:/absolute/path`. Names are not resolved here.
 * Returns undefined where the text is none of these.
 */
export function parseAddress(text: string): Address | undefined {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length);
    return path.startsWith('/') ? { family: 'unix', path } : undefined;
  }
  const parts = parseHostPort(text);
  if (parts === undefined || (!isIPv4(parts.host) && !isIPv6(parts.host))) return undefined;
  // What people write has many forms; kernels and this program compare the shortest one.
  return ipAddress(ipFromBytes(ipBytes(parts.host)), parts.port);
}

/** The 4 or 16 bytes of a literal IP address, in network order. Throws TypeError for anything else. */
export function ipBytes(host: string): Uint8Array {
  if (isIPv4(host)) return Uint8Array.from(host.split('.'), Number);
  if (!isIPv6(host)) throw new TypeError(`not an IP address: ${host}`);
  const bytes = new Uint8Array(16);
  const [head = '', tail] = withoutDottedQuad(host.split('%')[0] ?? '').split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  for (const [at, group] of first.entries()) writeGroup(bytes, at, group);
  for (const [at, group] of last.entries()) writeGroup(bytes, 8 - last.length + at, group);
  return bytes;
}

/** `::ffff:192.0.2.1` written with hexadecimal groups only. */
function withoutDottedQuad(host: string): string {
  const at = host.lastIndexOf(':') + 1;
  if (!host.includes('.', at)) return host;
  const [a = 0, b = 0, c = 0, d = 0] = host.slice(at).split('.').map(Number);
  return `${host.slice(0, at)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function writeGroup(bytes: Uint8Array, group: number, hex: string): void {
  const value = Number.parseInt(hex, 16);
  bytes[group * 2] = value >> 8;
  bytes[group * 2 + 1] = value & 0xff;
}

/** The literal form of 4 or 16 address bytes; 16 bytes that map an IPv4 address give that address. */
export function ipFromBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2)
    groups.push((((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16));
  const text = compress(groups);
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(text);
  return mapped === null ? text : bytes.subarray(12).join('.');
}

/** RFC 5952 section 4.2: the longest run of two or more zero groups, the first of equals, becomes `::`. */
function compress(groups: readonly string[]): string {
  let [start, length] = [-1, 1];
  for (let at = 0; at < groups.length; at++) {
    let end = at;
    while (groups[end] === '0') end++;
    if (end - at > length) [start, length] = [at, end - at];
    if (end > at) at = end;
  }
  if (start < 0) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}
