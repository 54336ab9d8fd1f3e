/**
 * Postfix's XCLIENT (XCLIENT_README): a backend that trusts us is told who the client is, in a command of its own between
 * its greeting and the session.
 */
import type { Address } from '../core/address.ts';

/** The two ends of the client's connection. */
export interface XclientEnds {
  readonly source: Address;
  /** Where the client connected to. */
  readonly destination: Address;
}

/** What an unknown value is called: a lookup that found nothing, and will find nothing later. */
const UNAVAILABLE = '[UNAVAILABLE]';

/**
 * The attributes in the reply to EHLO (`XCLIENT NAME ADDR PORT ...`), in upper case; null where XCLIENT is not offered, or
 * not with ADDR: without the address all else would be said of the wrong client. `lines` are those of the reply without
 * their codes.
 */
export function offeredAttributes(lines: readonly string[]): ReadonlySet<string> | null {
  for (const line of lines.slice(1)) {
    const [keyword = '', ...attributes] = line.toUpperCase().split(/[ \t]+/);
    if (keyword === 'XCLIENT') return attributes.includes('ADDR') ? new Set(attributes) : null;
  }
  return null;
}

/**
 * The command line without CRLF, for what `offeredAttributes` has found. Of what is known before the client has
 * spoken: its address and port, and where it connected to. Its names are not looked up, and are said to be unavailable:
 * left out, the backend would go on with ours. PROTO and HELO follow from the client's own EHLO, which comes
 * next, and LOGIN is nobody's to claim.
 */
export function xclientCommand(offered: ReadonlySet<string>, ends: XclientEnds): string {
  const values: readonly (readonly [string, string])[] = [
    ['NAME', UNAVAILABLE],
    ['REVERSE_NAME', UNAVAILABLE],
    ['ADDR', hostOf(ends.source)],
    ['PORT', portOf(ends.source)],
    ['DESTADDR', hostOf(ends.destination)],
    ['DESTPORT', portOf(ends.destination)],
  ];
  const words = values
    .filter(([name]) => offered.has(name))
    .map(([name, value]) => `${name}=${xtext(value)}`);
  return `XCLIENT ${words.join(' ')}`;
}

function hostOf(address: Address): string {
  if (address.family === 'unix') return UNAVAILABLE;
  return address.family === 'ipv6' ? `IPV6:${address.host}` : address.host;
}

function portOf(address: Address): string {
  return address.family === 'unix' ? UNAVAILABLE : String(address.port);
}

/** RFC 3461 section 4: what is not printable ASCII, and `+` and `=`, as `+` and two hexadecimal digits; octet by octet. */
export function xtext(value: string): string {
  const octets = Buffer.from(value, 'utf8').toString('latin1');
  return octets.replace(
    /[^\x21-\x7e]|[+=]/g,
    octet => `+${octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}
