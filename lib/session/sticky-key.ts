import { type Address, ipBytes, ipFromBytes } from '../core/address.ts';
import type { StickyOptions } from '../pool/snapshot.ts';

/** What is known of a client before a backend is chosen for it. Names are as the client gave them. */
export interface StickyFacts {
  readonly address: Address;
  /** What it asked for in TLS; null where there was none, or no name in it. */
  readonly serverName?: string | null;
  readonly helloName?: string | null;
}

/** Octets of a name (RFC 1035 section 2.3.4); a longer one is no name, and its client is not remembered. */
const NAME_OCTETS = 255;

/**
 * What a client is remembered by: `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/64`, `sni:mail.example.net`,
 * `ehlo:mail.example.net`. Null where nothing is known to remember it by, as behind a Unix socket; it is then balanced
 * as the pool says. At most NAME_OCTETS and a few octets long.
 */
export function stickyKey(options: StickyOptions, facts: StickyFacts): string | null {
  const { by, ipv4Prefix, ipv6Prefix } = options;
  switch (by) {
    case 'client-address':
      return networkText(facts.address, 32, 128);
    case 'client-network':
      return networkText(facts.address, ipv4Prefix, ipv6Prefix);
    case 'server-name':
      return nameText('sni', facts.serverName);
    case 'hello-name':
      return nameText('ehlo', facts.helloName);
  }
}

function networkText(client: Address, ipv4Prefix: number, ipv6Prefix: number): string | null {
  if (client.family === 'unix') return null;
  const bytes = ipBytes(client.host);
  const prefix = bytes.length === 4 ? ipv4Prefix : ipv6Prefix;
  if (prefix === bytes.length * 8) return ipFromBytes(bytes);
  for (let at = 0; at < bytes.length; at++) {
    const kept = Math.min(8, Math.max(0, prefix - at * 8));
    bytes[at] = (bytes[at] as number) & (0xff << (8 - kept));
  }
  return `${ipFromBytes(bytes)}/${prefix}`;
}

/** Names are equal whatever their case (RFC 4343), and with or without the dot of the root. */
function nameText(kind: string, name: string | null | undefined): string | null {
  const text = (name ?? '').toLowerCase().replace(/\.$/, '');
  return text === '' || Buffer.byteLength(text) > NAME_OCTETS ? null : `${kind}:${text}`;
}
