import { isIPv4, isIPv6 } from 'node:net';
import { type Address, ipAddress, ipBytes, ipFromBytes } from '../core/address.ts';
import { PROXY_V1_OCTETS } from '../core/limits.ts';
import { INCOMPLETE, invalid, type ProxyDecoded, V1_SIGNATURE } from './header.ts';

const [CR, LF] = [0x0d, 0x0a];
const PORT = /^(?:0|[1-9]\d{0,4})$/;
const PROTOCOLS = ['TCP4', 'TCP6', 'UNKNOWN'];
/** Fields of a line that names addresses: protocol, two addresses, two ports. */
const FIELDS = 5;

/**
 * Reads a version 1 line (proxy-protocol.txt section 2.1) from octets that begin with its signature.
 *
 * A line ends with CRLF within 107 octets. A CR or LF anywhere else is invalid, also in the part of an
 * UNKNOWN line that is otherwise ignored: a receiver that ends the line there would see another session.
 * A field is judged when it is complete, not when the line is.
 */
export function decodeV1(bytes: Uint8Array): ProxyDecoded {
  // In a line that is short enough, the CR is one of the first 106 octets.
  const window = Math.min(bytes.length, PROXY_V1_OCTETS - 1);
  let end = V1_SIGNATURE.length;
  while (end < window && bytes[end] !== CR && bytes[end] !== LF) end++;
  if (bytes[end] === LF) return invalid('v1: LF without CR');

  const ended = end < window;
  if (!ended && window === PROXY_V1_OCTETS - 1) return invalid('v1: no CRLF within 107 octets');
  if (ended && end + 1 < bytes.length && bytes[end + 1] !== LF) return invalid('v1: CR without LF');

  const line = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const fields = line.toString('latin1', V1_SIGNATURE.length, end).split(' ');
  const fault = faultIn(fields, ended);
  if (fault !== undefined) return invalid(fault);
  if (!ended || end + 1 === bytes.length) return INCOMPLETE;

  const [protocol, source = '', destination = '', sourcePort, destinationPort] = fields;
  const named = protocol !== 'UNKNOWN';
  return {
    status: 'valid',
    length: end + 2,
    header: {
      version: 1,
      command: 'proxy',
      source: named ? address(source, Number(sourcePort)) : null,
      destination: named ? address(destination, Number(destinationPort)) : null,
    },
  };
}

/** Why the fields can be no PROXY line; the last one may still grow where the line has not ended. */
function faultIn(fields: readonly string[], ended: boolean): string | undefined {
  const [protocol = ''] = fields;
  if (!isComplete(fields, 0, ended)) {
    return PROTOCOLS.some(name => name.startsWith(protocol)) ? undefined : 'v1: unknown protocol';
  }
  if (!PROTOCOLS.includes(protocol)) return 'v1: unknown protocol';
  if (protocol === 'UNKNOWN') return undefined;

  for (let at = 1; at < Math.min(fields.length, FIELDS); at++) {
    const field = fields[at] ?? '';
    if (!isComplete(fields, at, ended)) return /^[\da-f:.]*$/i.test(field) ? undefined : 'v1: stray octet';
    if (at < 3 && !isAddress(protocol, field)) return `v1: not a ${protocol} address`;
    if (at >= 3 && !isPort(field)) return 'v1: not a port';
  }
  if (fields.length > FIELDS || (ended && fields.length < FIELDS)) return 'v1: wrong number of fields';
  return undefined;
}

function isComplete(fields: readonly string[], at: number, ended: boolean): boolean {
  return ended || at < fields.length - 1;
}

function isAddress(protocol: string, field: string): boolean {
  // A zone (`fe80::1%eth0`) means nothing to another machine.
  return protocol === 'TCP4' ? isIPv4(field) : isIPv6(field) && !field.includes('%');
}

function isPort(field: string): boolean {
  return PORT.test(field) && Number(field) <= 65_535;
}

/** The sender may write an IPv6 address in any of its forms; lists and limits must see one client. */
function address(host: string, port: number): Address | null {
  return ipAddress(isIPv4(host) ? host : ipFromBytes(ipBytes(host)), port) ?? null;
}
