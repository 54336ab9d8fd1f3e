/** The notations of the configuration file: durations, rates, addresses, networks, names. */
import { isIP } from 'node:net';
import type { Address, HostPort, IpAddress } from '../core/address.ts';
import { ipAddress, ipBytes, ipFromBytes, parseAddress, parseHostPort } from '../core/address.ts';
import { UNIX_PATH_OCTETS } from '../core/limits.ts';
import type { BackendAddress, Network, Rate } from './config.ts';
import { parsed, text } from './pieces.ts';

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
]);

/**
 * Milliseconds of `5s`, `250ms` or `1h30m`: whole numbers with units d, h, m, s and ms, the larger before the
 * smaller, each at most once. Undefined for anything else, a bare number included, and beyond 2^53.
 */
export function parseDuration(text: string): number | undefined {
  const match = /^(?:\d{1,15}d)?(?:\d{1,15}h)?(?:\d{1,15}m(?!s))?(?:\d{1,15}s)?(?:\d{1,15}ms)?$/.exec(text);
  if (match === null || text === '') return undefined;
  let sum = 0;
  for (const [, digits, unit = ''] of text.matchAll(/(\d+)([dhms]+)/g)) {
    sum += Number(digits) * (UNIT_MS.get(unit) ?? Number.NaN);
  }
  return Number.isSafeInteger(sum) ? sum : undefined;
}

/** A duration within bounds that are written in the same notation, in milliseconds. */
export function duration(min: string, max: string) {
  const [minMs = 0, maxMs = 0] = [parseDuration(min), parseDuration(max)];
  return parsed(`a duration from ${min} to ${max}, such as 250ms, 5s or 1m30s`, text => {
    const ms = parseDuration(text);
    return ms !== undefined && ms >= minMs && ms <= maxMs ? ms : undefined;
  });
}

/** `60/1m`: 60 in any minute. */
export function parseRate(text: string): Rate | undefined {
  const match = /^(\d{1,7})\/(\d.*)$/.exec(text);
  const count = Number(match?.[1]);
  const perMs = parseDuration(match?.[2] ?? '');
  if (!(count >= 1 && count <= 1_000_000) || perMs === undefined) return undefined;
  return perMs >= 1_000 && perMs <= 86_400_000 ? { count, perMs } : undefined;
}

export const rate = () =>
  parsed('a count of 1 to 1000000 and a duration of 1s to 24h, such as 60/1m', parseRate);

/**
 * A network from `10.0.0.0/8` or `2001:db8::/32`; a bare address is a network of one. Bits beyond the prefix
 * are cleared, as HAProxy and nginx do. A v4-mapped network (`::ffff:10.0.0.0/104`) becomes the IPv4 one,
 * because clients are compared by their IPv4 address.
 */
export function parseNetwork(text: string): Network | undefined {
  const [, host = '', digits] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  if (isIP(host) === 0) return undefined;
  const bytes = ipBytes(host);
  const prefix = digits === undefined ? bytes.length * 8 : Number(digits);
  if (prefix > bytes.length * 8) return undefined;
  bytes.forEach((byte, at) => {
    const bits = Math.min(8, Math.max(0, prefix - at * 8));
    bytes[at] = byte & (0xff00 >> bits);
  });
  const masked = ipFromBytes(bytes);
  if (masked.includes(':')) return { family: 'ipv6', host: masked, prefix };
  return { family: 'ipv4', host: masked, prefix: bytes.length === 4 ? prefix : prefix - 96 };
}

export const network = () =>
  parsed('an IP address or a network, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32', parseNetwork);

const HOST_NAME = /^(?=.{1,253}$)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.|$))+$/;

/** Whether this can be the name of a host: labels of 1 to 63 characters, the last one not all digits. */
export function isHostName(text: string): boolean {
  return HOST_NAME.test(text) && !/(?:^|\.)\d+\.?$/.test(text);
}

/** The name given in EHLO: a domain or an address literal (RFC 5321 section 4.1.3). */
export const heloName = () =>
  parsed('a host name or an address literal, such as mx.example.net or [192.0.2.1]', text => {
    const literal = /^\[(?:IPv6:)?([^\]]+)\]$/i.exec(text)?.[1];
    return isHostName(text) || (literal !== undefined && isIP(literal) !== 0) ? text : undefined;
  });

const MAILBOX = /^(?=.{1,254}$)[\w!#$%&'*+/=?^`{|}~.-]{1,64}@(?:\[[\w.:]+\]|[A-Za-z0-9._-]+)$/;

function parseMailbox(text: string): string | undefined {
  return MAILBOX.test(text) ? text : undefined;
}

/** A mail address (RFC 5321 section 4.1.2) whose local part needs no quotes. */
export const mailbox = () => parsed('a mail address such as probe@example.net', parseMailbox);

/** A mail address, or nothing at all: the sender of bounces. */
export const reversePath = () =>
  parsed('a mail address such as probe@example.net, or empty text', text =>
    text === '' ? text : parseMailbox(text),
  );

/** A host name or an IP address, without a port. */
export const host = () =>
  parsed('an IP address or a host name', text => (isHostName(text) || isIP(text) !== 0 ? text : undefined));

/** An address to listen on; port 0 takes any free one. */
export function parseListenAddress(text: string): Address | undefined {
  const address = parseAddress(text);
  return address?.family === 'unix' && !isSocketPath(address.path) ? undefined : address;
}

export const listenAddress = () =>
  parsed('an address such as 0.0.0.0:25, [::]:25 or unix:/run/smtplb/mx.sock', parseListenAddress);

/** An address to connect to: as above, or a host name and a port; never port 0. */
export function parseBackendAddress(text: string): BackendAddress | undefined {
  const address = parseListenAddress(text);
  if (address !== undefined) return address.family !== 'unix' && address.port === 0 ? undefined : address;
  const parts = parseHostPort(text);
  if (parts === undefined || parts.port === 0 || !isHostName(parts.host)) return undefined;
  return { family: 'name', ...parts };
}

export const backendAddress = () =>
  parsed(
    'an address with a port, such as 10.0.0.11:25, [2001:db8::11]:25, mx1.example.net:25 or unix:/run/mx1.sock',
    parseBackendAddress,
  );

/** A TCP endpoint by address or name. */
export const hostPort = () =>
  parsed(
    'a host with a port, such as 10.0.0.5:6379 or redis1.example.net:6379',
    (text): HostPort | undefined => {
      const address = parseBackendAddress(text);
      return address === undefined || address.family === 'unix'
        ? undefined
        : { host: address.host, port: address.port };
    },
  );

function isSocketPath(path: string): boolean {
  return path.startsWith('/') && !path.includes('\0') && Buffer.byteLength(path) <= UNIX_PATH_OCTETS;
}

export const socketPath = () =>
  parsed(`an absolute path of at most ${UNIX_PATH_OCTETS} octets, such as /run/smtplb/admin.sock`, text =>
    isSocketPath(text) ? text : undefined,
  );

/** The path of a file; a relative one starts where smtplb was started. */
export const filePath = () => text('the path of a file', /^[^\0]{1,4096}$/);

/** What listeners, pools, backends, instances and clusters are called. */
export const name = () => text('a name of 1 to 64 letters, digits and . _ : -', /^[A-Za-z0-9._:-]{1,64}$/);

/** An address of a host, without a port. */
export const ipAddressText = () =>
  parsed('an IP address', (value): IpAddress | undefined => ipAddress(value, 0));

/** A name as TLS clients ask for it, perhaps with a star for its first label (RFC 6125 section 6.4.3). */
export const serverNamePattern = () =>
  parsed('a host name, or *. and a host name', value => {
    const name = value.startsWith('*.') ? value.slice(2) : value;
    return isHostName(name) ? value.toLowerCase() : undefined;
  });
