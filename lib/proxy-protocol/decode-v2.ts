import { type Address, ipAddress, ipFromBytes } from '../core/address.ts';
import { PROXY_V2_OCTETS } from '../core/limits.ts';
import { decodeTlvs } from './decode-tlv.ts';
import {
  BLOCK_OCTETS,
  COMMAND_OCTET,
  FAMILY_OCTET,
  INCOMPLETE,
  invalid,
  type ProxyDecoded,
  UNIX_PATH_OCTETS,
  V2_HEAD_OCTETS,
  V2_SIGNATURE,
} from './header.ts';

const AT_COMMAND = V2_SIGNATURE.length;
const AT_FAMILY = AT_COMMAND + 1;
const AT_LENGTH = AT_FAMILY + 1;

type Family = keyof typeof FAMILY_OCTET;

/**
 * Reads a version 2 header (proxy-protocol.txt section 2.2) from octets that begin with its signature.
 *
 * The first 16 octets are judged one by one as they come; what they announce, when it is there in whole.
 * Where no address is to be used (LOCAL, UNSPEC) the rest is skipped unread, as the specification asks:
 * it may be of any length and hold anything.
 */
export function decodeV2(bytes: Uint8Array): ProxyDecoded {
  const command = bytes[AT_COMMAND];
  if (command === undefined) return INCOMPLETE;
  if (command >> 4 !== 2) return invalid('v2: version is not 2');
  if (command !== COMMAND_OCTET.local && command !== COMMAND_OCTET.proxy)
    return invalid('v2: unknown command');

  const familyOctet = bytes[AT_FAMILY];
  if (familyOctet === undefined) return INCOMPLETE;
  // LOCAL comes with whatever family: the specification has it ignored.
  const family = command === COMMAND_OCTET.local ? 'unspecified' : familyOf(familyOctet);
  if (typeof family !== 'string') return invalid(family.fault);

  if (bytes.length < V2_HEAD_OCTETS) return INCOMPLETE;
  const end = V2_HEAD_OCTETS + read16(bytes, AT_LENGTH);
  const block = V2_HEAD_OCTETS + (family === 'unspecified' ? 0 : BLOCK_OCTETS[family]);
  if (end < block) return invalid('v2: length is less than its addresses take');
  if (end > PROXY_V2_OCTETS) return invalid('v2: longer than accepted');
  if (bytes.length < end) return INCOMPLETE;

  if (family === 'unspecified') {
    const said = command === COMMAND_OCTET.local ? 'local' : 'proxy';
    const header = { version: 2, command: said, source: null, destination: null } as const;
    return { status: 'valid', length: end, header };
  }
  const decoded = decodeTlvs(bytes, block, end);
  if ('fault' in decoded) return invalid(decoded.fault);
  const [source, destination] = readAddresses(bytes, family);
  return {
    status: 'valid',
    length: end,
    header: { version: 2, command: 'proxy', source, destination, tlvs: decoded.tlvs },
  };
}

/** Family in the upper, transport in the lower four bits. */
function familyOf(octet: number): Family | { readonly fault: string } {
  const [family, transport] = [octet >> 4, octet & 0x0f];
  if (family > 3) return { fault: 'v2: unknown address family' };
  if (transport > 2) return { fault: 'v2: unknown transport' };
  // Mail comes over streams: who forwards datagrams to this port forwards something else.
  if (transport === 2) return { fault: 'v2: datagrams are no SMTP session' };
  if (octet === FAMILY_OCTET.ipv4) return 'ipv4';
  if (octet === FAMILY_OCTET.ipv6) return 'ipv6';
  return octet === FAMILY_OCTET.unix ? 'unix' : 'unspecified';
}

function readAddresses(
  bytes: Uint8Array,
  family: Exclude<Family, 'unspecified'>,
): [Address | null, Address | null] {
  if (family === 'unix')
    return [readPath(bytes, V2_HEAD_OCTETS), readPath(bytes, V2_HEAD_OCTETS + UNIX_PATH_OCTETS)];
  const octets = family === 'ipv4' ? 4 : 16;
  const [source, destination, ports] = [V2_HEAD_OCTETS, V2_HEAD_OCTETS + octets, V2_HEAD_OCTETS + 2 * octets];
  return [
    ipAddress(ipFromBytes(bytes.subarray(source, destination)), read16(bytes, ports)) ?? null,
    ipAddress(ipFromBytes(bytes.subarray(destination, ports)), read16(bytes, ports + 2)) ?? null,
  ];
}

/** A path ends at its first NUL; a client that bound none has the empty path. */
function readPath(bytes: Uint8Array, at: number): Address {
  const field = Buffer.from(bytes.buffer, bytes.byteOffset + at, UNIX_PATH_OCTETS);
  const nul = field.indexOf(0);
  return { family: 'unix', path: field.toString('utf8', 0, nul < 0 ? UNIX_PATH_OCTETS : nul) };
}

function read16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
