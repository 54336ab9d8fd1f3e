/**
 * Reads the server name out of a TLS ClientHello without decrypting anything: what comes first on a TLS connection is
 * sent in the clear (RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3). Nothing else of it is looked at, and none of it
 * is changed: whoever serves the client gets the very bytes.
 */

/** Octets of TLS records that one ClientHello may take; with post-quantum key shares and long tickets it has a few thousand. */
export const CLIENT_HELLO_OCTETS = 16_384;
/** Records that one ClientHello may be cut into. Honest clients use one or two. */
const MAX_RECORDS = 32;

const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
/** Session tickets of TLS 1.2 (RFC 5077), and of TLS 1.3 (RFC 8446 section 4.2.11). */
const SESSION_TICKET = 35;
const PRE_SHARED_KEY = 41;
const TICKET_NAME_OCTETS = 16;
const HOST_NAME = 0;
const RECORD_HEADER_OCTETS = 5;
const MAX_RECORD_OCTETS = 16_384;

export type ClientHello =
  /** More octets are needed; so far nothing is wrong. */
  | { readonly status: 'incomplete' }
  /** Not a ClientHello, or a broken one, or one that is too long. */
  | { readonly status: 'invalid'; readonly reason: string }
  /**
   * `serverName` in lower case; null where the client names none. `ticketName`: the name of the key of the first session
   * ticket it shows, as RFC 5077 section 4 lays tickets out; null where it shows none.
   */
  | {
      readonly status: 'complete';
      readonly serverName: string | null;
      readonly ticketName: Uint8Array | null;
    };

const INCOMPLETE: ClientHello = { status: 'incomplete' };

/** Reads what a client sent first; `bytes` is all of it so far, and may hold more than the ClientHello. */
export function readClientHello(bytes: Uint8Array): ClientHello {
  const fragments: Uint8Array[] = [];
  let collected = 0;
  const wanted = (): number => (collected < 4 ? 4 : 4 + lengthOf(fragments));
  for (let at = 0; collected < wanted(); ) {
    if (fragments.length === MAX_RECORDS) return invalid('it is cut into too many records');
    if (at + RECORD_HEADER_OCTETS > bytes.length) return short(bytes, at);
    const length = u16(bytes, at + 3);
    if (!isHandshakeRecord(bytes, at)) return invalid('it is no TLS handshake');
    if (length === 0 || length > MAX_RECORD_OCTETS) return invalid(`a record has ${length} octets`);
    const start = at + RECORD_HEADER_OCTETS;
    at = start + length;
    const fragment = bytes.subarray(start, at);
    if (fragment.length === 0) return INCOMPLETE;
    fragments.push(fragment);
    collected += fragment.length;
    if (octetAt(fragments, 0) !== CLIENT_HELLO)
      return invalid('the handshake does not begin with a ClientHello');
    if (wanted() > CLIENT_HELLO_OCTETS) return invalid('it is too long');
    if (fragment.length < length && collected < wanted()) return INCOMPLETE;
  }
  const message = fragments.length === 1 ? (fragments[0] as Uint8Array) : Buffer.concat(fragments);
  return readBody(message.subarray(4, wanted()));
}

/** What there is of a record's header so far, judged as early as possible: a plaintext peer need not be waited for. */
function short(bytes: Uint8Array, at: number): ClientHello {
  if (bytes.length > CLIENT_HELLO_OCTETS + MAX_RECORDS * RECORD_HEADER_OCTETS)
    return invalid('it is too long');
  if (at < bytes.length && bytes[at] !== HANDSHAKE_RECORD) return invalid('it is no TLS handshake');
  if (at + 1 < bytes.length && bytes[at + 1] !== 3) return invalid('it is no TLS handshake');
  return INCOMPLETE;
}

/** A handshake record of any version of TLS; versions in records mean nothing (RFC 8446 section 5.1). */
function isHandshakeRecord(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === HANDSHAKE_RECORD && bytes[at + 1] === 3;
}

/** The length that the handshake message announces: octets 1 to 3 of it. */
function lengthOf(fragments: readonly Uint8Array[]): number {
  return octetAt(fragments, 1) * 65_536 + octetAt(fragments, 2) * 256 + octetAt(fragments, 3);
}

function octetAt(fragments: readonly Uint8Array[], at: number): number {
  let rest = at;
  for (const fragment of fragments) {
    if (rest < fragment.length) return fragment[rest] as number;
    rest -= fragment.length;
  }
  return 0;
}

/** From the message's version on. Every vector is bounded by the one around it. */
function readBody(body: Uint8Array): ClientHello {
  const afterRandom = 2 + 32;
  const afterSession = skip(body, afterRandom, 1, 32);
  const afterCiphers = skip(body, afterSession, 2, 65_534);
  const afterCompression = skip(body, afterCiphers, 1, 255);
  if (afterCompression < 0) return invalid('it is broken');
  if (afterCompression === body.length) return { status: 'complete', serverName: null, ticketName: null };
  const end = skip(body, afterCompression, 2, 65_535);
  if (end !== body.length) return invalid('its extensions are broken');
  let serverName: string | null = null;
  let ticketName: Uint8Array | null = null;
  for (let at = afterCompression + 2; at < end; ) {
    if (at + 4 > end) return invalid('its extensions are broken');
    const next = skip(body, at + 2, 2, 65_535);
    if (next < 0 || next > end) return invalid('its extensions are broken');
    const value = body.subarray(at + 4, next);
    const type = u16(body, at);
    if (type === SERVER_NAME) {
      const read = readServerName(value);
      if (read.status !== 'complete') return read;
      serverName = read.serverName;
    } else if (type === SESSION_TICKET) ticketName = nameOfTicket(value);
    else if (type === PRE_SHARED_KEY) ticketName = nameOfTicket(value.subarray(4, 4 + u16(value, 2)));
    at = next;
  }
  return { status: 'complete', serverName, ticketName };
}

/** RFC 6066 section 3: a list of names, of which only one kind was ever defined, and that once. */
function readServerName(list: Uint8Array): ClientHello {
  if (list.length < 5 || u16(list, 0) !== list.length - 2) return invalid('its server name is broken');
  const length = u16(list, 3);
  const name = Buffer.from(list.subarray(5)).toString('latin1').toLowerCase();
  if (list[2] !== HOST_NAME || length !== name.length) return invalid('its server name is broken');
  // Letters, digits, dots, hyphens and underscores: international names travel as A-labels.
  if (!/^[a-z0-9._-]{1,255}$/.test(name)) return invalid('its server name is no host name');
  return { status: 'complete', serverName: name.endsWith('.') ? name.slice(0, -1) : name, ticketName: null };
}

function nameOfTicket(ticket: Uint8Array): Uint8Array | null {
  return ticket.length < TICKET_NAME_OCTETS ? null : Uint8Array.from(ticket.subarray(0, TICKET_NAME_OCTETS));
}

/** The offset behind a vector at `at` with a length of `size` octets before it; negative where it does not fit. */
function skip(bytes: Uint8Array, at: number, size: 1 | 2, limit: number): number {
  if (at < 0 || at + size > bytes.length) return -1;
  const length = size === 1 ? (bytes[at] as number) : u16(bytes, at);
  const next = at + size + length;
  return length > limit || next > bytes.length ? -1 : next;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function invalid(reason: string): ClientHello {
  return { status: 'invalid', reason };
}
