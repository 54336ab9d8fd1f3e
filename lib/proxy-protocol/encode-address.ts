import { type Address, type IpAddress, ipBytes, ipFromBytes } from '../core/address.ts';
import { BLOCK_OCTETS, UNIX_PATH_OCTETS, V2_HEAD_OCTETS } from './header.ts';

/** Octets of the longest IPv6 address that has no dotted quad: eight groups of four digits. */
const IPV6_TEXT_OCTETS = 39;
const [COLON, DOT, PERCENT] = [0x3a, 0x2e, 0x25];

export type BlockFamily = keyof typeof BLOCK_OCTETS;

/**
 * The one family in which both ends of a connection can be written. An IPv4 and an IPv6 end are both
 * written as IPv6. Undefined where none fits: an end is not known, only one is a Unix socket, or a path has
 * more octets than its field.
 */
export function commonFamily(source: Address | null, destination: Address | null): BlockFamily | undefined {
  if (source === null || destination === null) return undefined;
  if (source.family === 'unix' || destination.family === 'unix') {
    if (source.family !== 'unix' || destination.family !== 'unix') return undefined;
    return pathFits(source.path) && pathFits(destination.path) ? 'unix' : undefined;
  }
  return source.family === 'ipv4' && destination.family === 'ipv4' ? 'ipv4' : 'ipv6';
}

/** Writes the address block of version 2, every octet of it. `family` is what `commonFamily` answered. */
export function writeBlock(out: Buffer, family: BlockFamily, source: Address, destination: Address): void {
  if (source.family === 'unix' || destination.family === 'unix') {
    out.fill(0, V2_HEAD_OCTETS, V2_HEAD_OCTETS + BLOCK_OCTETS.unix);
    if (source.family === 'unix') out.write(source.path, V2_HEAD_OCTETS, 'utf8');
    if (destination.family === 'unix') out.write(destination.path, V2_HEAD_OCTETS + UNIX_PATH_OCTETS, 'utf8');
    return;
  }
  const middle = writeIp(out, V2_HEAD_OCTETS, family, source);
  const ports = writeIp(out, middle, family, destination);
  out[ports] = source.port >> 8;
  out[ports + 1] = source.port;
  out[ports + 2] = destination.port >> 8;
  out[ports + 3] = destination.port;
}

/** An address as version 1 writes it in a TCP6 line: no dotted quad but a mapped one's, and no zone. */
export function ipv6Text(address: IpAddress): string {
  const { host } = address;
  if (address.family === 'ipv4') return `::ffff:${host}`;
  if (host.length <= IPV6_TEXT_OCTETS && !host.includes('%')) return host;
  const text = ipFromBytes(ipBytes(host));
  return text.includes(':') ? text : `::ffff:${text}`;
}

function pathFits(path: string): boolean {
  return Buffer.byteLength(path) <= UNIX_PATH_OCTETS;
}

/** Returns the offset behind the address. */
function writeIp(out: Buffer, at: number, family: BlockFamily, address: IpAddress): number {
  if (family === 'ipv4') return writeIpv4(out, at, address.host, 0);
  if (address.family === 'ipv6') return writeIpv6(out, at, address.host);
  out.fill(0, at, at + 10);
  out.fill(0xff, at + 10, at + 12);
  return writeIpv4(out, at + 12, address.host, 0);
}

/** The dotted quad that begins at `from` in `host`. */
function writeIpv4(out: Buffer, at: number, host: string, from: number): number {
  let value = 0;
  let next = at;
  for (let index = from; index < host.length; index++) {
    const code = host.charCodeAt(index);
    if (code === DOT) {
      out[next++] = value;
      value = 0;
    } else {
      value = value * 10 + code - 0x30;
    }
  }
  out[next] = value;
  return at + 4;
}

/**
 * Written straight from the text: this is once a session, and groups as strings and numbers in arrays cost
 * several times as much. What follows `::` is written where it would stand without it, and moved to the end.
 */
function writeIpv6(out: Buffer, at: number, host: string): number {
  const end = at + 16;
  let next = at;
  let gap = -1;
  let groupFrom = 0;
  let group = 0;
  for (let index = 0; index <= host.length; index++) {
    const code = index < host.length ? host.charCodeAt(index) : PERCENT;
    if (code === DOT) {
      next = writeIpv4(out, next, host, groupFrom);
      break;
    }
    if (code !== COLON && code !== PERCENT) {
      group = (group << 4) | hexDigit(code);
      continue;
    }
    if (index > groupFrom) {
      out[next] = group >> 8;
      out[next + 1] = group;
      next += 2;
      group = 0;
    }
    if (code === PERCENT) break;
    if (host.charCodeAt(index + 1) === COLON) gap = next;
    groupFrom = index + 1;
  }
  if (gap >= 0) {
    const tail = next - gap;
    out.copyWithin(end - tail, gap, next);
    out.fill(0, gap, end - tail);
  }
  return end;
}

/** `0` to `9` are 0x30 and up; letters of either case have 1 to 6 in their low bits. */
function hexDigit(code: number): number {
  return code < 0x40 ? code - 0x30 : (code & 0x0f) + 9;
}
