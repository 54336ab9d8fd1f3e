import { type Address, ipAddress, ipBytes, ipFromBytes } from '../../core/address.ts';
import { UNIX_PATH_OCTETS } from '../../core/limits.ts';
import { SOCKET } from './layout.ts';

/** `sockaddr_in`, `sockaddr_in6`, and what stands before the path in `sockaddr_un`. */
const IPV4_OCTETS = 16;
const IPV6_OCTETS = 28;
const UNIX_HEAD_OCTETS = 2;

/** One end of a Unix socket that is bound to no path. */
export const NAMELESS: Address = { family: 'unix', path: '' };

/** The family's number, as `socket` wants it. */
export function familyOf(address: Address): number {
  switch (address.family) {
    case 'ipv4':
      return SOCKET.AF_INET;
    case 'ipv6':
      return SOCKET.AF_INET6;
    case 'unix':
      return SOCKET.AF_UNIX;
  }
}

/**
 * A `struct sockaddr` of its own size: the family in the machine's order (little-endian on all that is served here),
 * port and address in the network's. Undefined where a path is longer than the kernel takes.
 */
export function encodeAddress(address: Address): Uint8Array | undefined {
  if (address.family === 'unix') {
    const path = Buffer.from(address.path);
    if (path.length > UNIX_PATH_OCTETS || path.includes(0)) return undefined;
    const octets = new Uint8Array(UNIX_HEAD_OCTETS + path.length + 1);
    octets[0] = SOCKET.AF_UNIX;
    octets.set(path, UNIX_HEAD_OCTETS);
    return octets;
  }
  const octets = new Uint8Array(address.family === 'ipv4' ? IPV4_OCTETS : IPV6_OCTETS);
  octets[0] = familyOf(address);
  octets[2] = address.port >> 8;
  octets[3] = address.port & 0xff;
  octets.set(ipBytes(address.host), address.family === 'ipv4' ? 4 : 8);
  return octets;
}

/**
 * The address in a `struct sockaddr` of `length` octets at `at`. A v4-mapped IPv6 address gives the IPv4 address it
 * stands for. Undefined where it holds none, as for a peer the kernel has forgotten.
 */
export function decodeAddress(octets: Uint8Array, at: number, length: number): Address | undefined {
  const family = octets[at];
  if (family === SOCKET.AF_UNIX && length >= UNIX_HEAD_OCTETS) return decodePath(octets, at, length);
  const port = ((octets[at + 2] as number) << 8) | (octets[at + 3] as number);
  if (family === SOCKET.AF_INET && length >= IPV4_OCTETS) {
    const host = `${octets[at + 4]}.${octets[at + 5]}.${octets[at + 6]}.${octets[at + 7]}`;
    return { family: 'ipv4', host, port };
  }
  if (family === SOCKET.AF_INET6 && length >= IPV6_OCTETS)
    return ipAddress(ipFromBytes(octets.subarray(at + 8, at + 24)), port);
  return undefined;
}

function decodePath(octets: Uint8Array, at: number, length: number): Address {
  const path = octets.subarray(at + UNIX_HEAD_OCTETS, at + length);
  const end = path.indexOf(0);
  // Empty, or an abstract name, which begins with NUL: neither is a path.
  return end === 0 || path.length === 0
    ? NAMELESS
    : { family: 'unix', path: Buffer.from(end < 0 ? path : path.subarray(0, end)).toString() };
}
