import { BlockList } from 'node:net';
import type { Address } from './address.ts';

/** A network: `192.0.2.0/24` or `2001:db8::/32`; a single address has all its bits in the prefix. */
export interface Cidr {
  readonly family: 'ipv4' | 'ipv6';
  readonly host: string;
  readonly prefix: number;
}

/** Networks to look addresses up in. */
export interface CidrSet {
  readonly empty: boolean;
  /** A Unix socket's peer is in no network. */
  has(address: Address): boolean;
}

/** Throws RangeError for a prefix longer than its family's addresses. */
export function cidrSet(networks: readonly Cidr[]): CidrSet {
  const list = new BlockList();
  const empty = networks.length === 0;
  for (const { host, prefix, family } of networks) list.addSubnet(host, prefix, family);
  return {
    empty,
    // A look-up costs microseconds, and most listeners have no list.
    has: address => !empty && address.family !== 'unix' && list.check(address.host, address.family),
  };
}
