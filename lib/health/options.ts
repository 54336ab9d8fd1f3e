import type { Address } from '../core/address.ts';
import type { PoolTls } from '../pool/snapshot.ts';

/** What a check does, and how often; the same for all backends of a pool. */
export interface CheckOptions {
  readonly type: 'none' | 'tcp' | 'smtp';
  readonly intervalMs: number;
  /** From dialling to the verdict. */
  readonly timeoutMs: number;
  /** Good results in a row that bring a backend up. */
  readonly rise: number;
  /** Bad results in a row that take it down. */
  readonly fall: number;
  /** The name a check gives in EHLO. */
  readonly helo: string;
  /** How many instances of the cluster check it; undefined: each of them. */
  readonly instances?: number | undefined;
  /** Undefined: TLS is not tried. Only for `smtp`. Where sessions speak TLS with the pool's backends, so do checks. */
  readonly starttls: StarttlsOptions | undefined;
  /** Undefined: no transaction is tried. Only for `smtp`. */
  readonly mail: MailOptions | undefined;
}

export interface StarttlsOptions {
  /** Whether the certificate must be valid: its chain, its dates and its name. */
  readonly verify: boolean;
  /** The name it must be valid for, sent as SNI too; undefined: the address that is checked. */
  readonly serverName: string | undefined;
  /** Path of a PEM file with the authorities to trust, read at each check; undefined: those of Node. */
  readonly ca: string | undefined;
  /** TLS from the first byte, in place of STARTTLS. */
  readonly implicit?: boolean;
  /** As sessions speak it with these backends, files read with the configuration; `verify` and `ca` are then not asked. */
  readonly asSessions?: PoolTls | undefined;
}

/** Envelope addresses of a transaction that is begun and reset; nothing is sent. */
export interface MailOptions {
  /** Empty: the null reverse path. */
  readonly from: string;
  readonly to: string;
}

/** One thing to check. */
export interface CheckedBackend {
  readonly pool: string;
  readonly backend: string;
  /** Where the check goes: the backend's own address, or what `checkAddress` made of it. */
  readonly address: Address;
  /** An address of this host to connect from; undefined leaves it to the kernel. */
  readonly source?: string | undefined;
  readonly check: CheckOptions;
  /** The header that opens each connection, as it opens those of sessions. */
  readonly identity: 'none' | 'proxy-v1' | 'proxy-v2';
  /** Sessions come as the check does, from our address and without a word of the client: what is offered to us is theirs. */
  readonly anonymous?: boolean;
}

/**
 * Where a backend at `own` is checked when `check.address` and `check.port` may say otherwise; `host` is an address by
 * then, not a name. A Unix socket has no port, and keeps to itself unless both are given.
 */
export function checkAddress(
  own: Address,
  host: { readonly family: 'ipv4' | 'ipv6'; readonly host: string } | undefined,
  port: number | undefined,
): Address {
  if (own.family === 'unix') return host === undefined || port === undefined ? own : { ...host, port };
  return { ...own, ...host, port: port ?? own.port };
}
