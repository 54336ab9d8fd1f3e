import type { Address } from '../core/address.ts';
import { commonFamily, ipv6Text, writeBlock } from './encode-address.ts';
import { type ProxyTlvOptions, tlvOctets, writeTlvs } from './encode-tlv.ts';
import { BLOCK_OCTETS, COMMAND_OCTET, FAMILY_OCTET, V2_HEAD_OCTETS, V2_SIGNATURE } from './header.ts';

/** The two ends of the client's connection; null where the end is not known. */
export interface ProxyEnds {
  /** The client. */
  readonly source: Address | null;
  /** Where the client connected to. */
  readonly destination: Address | null;
}

export interface ProxyV2Options extends ProxyEnds, ProxyTlvOptions {
  /** `local` for a connection of our own, a check: the backend is to see us, not a client. */
  readonly command: 'local' | 'proxy';
}

/**
 * A version 1 line (proxy-protocol.txt section 2.1), at most 107 octets. `UNKNOWN` where the two ends cannot
 * be written as TCP4 or TCP6: an end is not known, or is a Unix socket. The ends' addresses must be literal.
 */
export function encodeProxyV1({ source, destination }: ProxyEnds): Uint8Array {
  return Buffer.from(lineOf(source, destination), 'latin1');
}

function lineOf(source: Address | null, destination: Address | null): string {
  if (source === null || destination === null) return 'PROXY UNKNOWN\r\n';
  if (source.family === 'unix' || destination.family === 'unix') return 'PROXY UNKNOWN\r\n';
  const ports = `${source.port} ${destination.port}\r\n`;
  if (source.family === 'ipv4' && destination.family === 'ipv4') {
    return `PROXY TCP4 ${source.host} ${destination.host} ${ports}`;
  }
  return `PROXY TCP6 ${ipv6Text(source)} ${ipv6Text(destination)} ${ports}`;
}

/**
 * A version 2 header (proxy-protocol.txt section 2.2), at most PROXY_V2_OCTETS.
 *
 * `local`, and a session whose two ends have no family in common, take 16 octets and say nothing else:
 * without an address block a receiver skips the rest. The latter stays a PROXY command of family UNSPEC,
 * never LOCAL: a receiver that trusts our own address must be able to refuse a client it cannot name.
 */
export function encodeProxyV2(options: ProxyV2Options): Uint8Array {
  const { command, source, destination } = options;
  const family = command === 'local' ? undefined : commonFamily(source, destination);
  if (family === undefined || source === null || destination === null) {
    const bare = Buffer.allocUnsafe(V2_HEAD_OCTETS);
    writeHead(bare, COMMAND_OCTET[command], FAMILY_OCTET.unspecified);
    return bare;
  }
  const block = V2_HEAD_OCTETS + BLOCK_OCTETS[family];
  const out = Buffer.allocUnsafe(block + tlvOctets(options));
  writeHead(out, COMMAND_OCTET.proxy, FAMILY_OCTET[family]);
  writeBlock(out, family, source, destination);
  writeTlvs(out, block, options);
  return out;
}

function writeHead(out: Buffer, command: number, family: number): void {
  const length = out.length - V2_HEAD_OCTETS;
  out.set(V2_SIGNATURE);
  out[12] = command;
  out[13] = family;
  out[14] = length >> 8;
  out[15] = length;
}
