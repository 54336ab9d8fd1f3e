import { PROXY_UNIQUE_ID_OCTETS } from '../core/limits.ts';
import { crc32c } from './crc32c.ts';
import {
  CRC32C_OCTETS,
  type ProxyTls,
  type ProxyTlvs,
  SSL_HEAD_OCTETS,
  SSL_TLV,
  TLV,
  TLV_HEAD_OCTETS,
} from './tlv.ts';

interface Fault {
  readonly fault: string;
}
/** Where a value lies in the header. */
interface Span {
  readonly start: number;
  readonly end: number;
}
type Spans = Map<number, Span>;

const TYPES: ReadonlySet<number> = new Set(Object.values(TLV).filter(type => type !== TLV.noop));
const SSL_TYPES: ReadonlySet<number> = new Set(Object.values(SSL_TLV));
const ZERO_CHECKSUM = new Uint8Array(CRC32C_OCTETS);

/**
 * Reads the TLVs in `bytes[start, end)`, where `end` is the end of the whole header and 0 its start.
 *
 * TLVs must fill that space exactly. Types that are not understood, and NOOP, are skipped by their length.
 * One that is understood and comes twice makes the header invalid: its two readers could believe two
 * different things. A checksum is verified over the whole header.
 */
export function decodeTlvs(
  bytes: Uint8Array,
  start: number,
  end: number,
): { readonly tlvs: ProxyTlvs } | Fault {
  const spans = collect(bytes, start, end, TYPES);
  if (!(spans instanceof Map)) return spans;

  const checksum = spans.get(TLV.crc32c);
  if (checksum !== undefined && !checksumHolds(bytes, checksum, end))
    return { fault: 'v2: CRC32C does not match' };
  const uniqueId = spans.get(TLV.uniqueId);
  if (uniqueId !== undefined && uniqueId.end - uniqueId.start > PROXY_UNIQUE_ID_OCTETS) {
    return { fault: 'v2: unique id is longer than 128 octets' };
  }
  const ssl = spans.get(TLV.ssl);
  const tls: { readonly tls?: ProxyTls } | Fault = ssl === undefined ? {} : decodeTls(bytes, ssl);
  if ('fault' in tls) return tls;
  return {
    tlvs: {
      ...text(bytes, spans, 'alpn', TLV.alpn),
      ...text(bytes, spans, 'authority', TLV.authority),
      ...(uniqueId === undefined
        ? {}
        : { uniqueId: Uint8Array.from(bytes.subarray(uniqueId.start, uniqueId.end)) }),
      ...tls,
      ...text(bytes, spans, 'netns', TLV.netns),
    },
  };
}

function decodeTls(bytes: Uint8Array, { start, end }: Span): { readonly tls: ProxyTls } | Fault {
  if (end - start < SSL_HEAD_OCTETS) return { fault: 'v2: SSL TLV is too short' };
  const spans = collect(bytes, start + SSL_HEAD_OCTETS, end, SSL_TYPES);
  if (!(spans instanceof Map)) return spans;
  return {
    tls: {
      client: bytes[start] ?? 0,
      verify: read32(bytes, start + 1),
      ...text(bytes, spans, 'version', SSL_TLV.version),
      ...text(bytes, spans, 'commonName', SSL_TLV.commonName),
      ...text(bytes, spans, 'cipher', SSL_TLV.cipher),
      ...text(bytes, spans, 'signatureAlgorithm', SSL_TLV.signatureAlgorithm),
      ...text(bytes, spans, 'keyAlgorithm', SSL_TLV.keyAlgorithm),
    },
  };
}

/** Walks the TLVs in `bytes[start, end)`; the values of the wanted types, by type. */
function collect(bytes: Uint8Array, start: number, end: number, wanted: ReadonlySet<number>): Spans | Fault {
  const spans = new Map<number, Span>();
  let at = start;
  while (at < end) {
    const value = at + TLV_HEAD_OCTETS;
    if (value > end) return { fault: 'v2: TLV is cut short' };
    const next = value + (((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0));
    if (next > end) return { fault: 'v2: TLV runs over the end' };
    const type = bytes[at] ?? 0;
    if (wanted.has(type)) {
      if (spans.has(type)) return { fault: 'v2: TLV is given twice' };
      spans.set(type, { start: value, end: next });
    }
    at = next;
  }
  return spans;
}

/** Section 2.2.3: the sum is taken with zeros where it is stored; it is stored in network order. */
function checksumHolds(bytes: Uint8Array, field: Span, end: number): boolean {
  if (field.end - field.start !== CRC32C_OCTETS) return false;
  const head = crc32c(bytes, 0, field.start);
  const zeros = crc32c(ZERO_CHECKSUM, 0, CRC32C_OCTETS, head);
  return crc32c(bytes, field.end, end, zeros) === read32(bytes, field.start);
}

function text<Name extends string>(
  bytes: Uint8Array,
  spans: Spans,
  name: Name,
  type: number,
): { [name in Name]?: string } {
  const span = spans.get(type);
  if (span === undefined) return {};
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(
    'utf8',
    span.start,
    span.end,
  );
  return { [name]: value } as { [name in Name]?: string };
}

function read32(bytes: Uint8Array, at: number): number {
  const word =
    ((bytes[at] ?? 0) << 24) |
    ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0);
  return word >>> 0;
}
