import { PROXY_TEXT_OCTETS, PROXY_UNIQUE_ID_OCTETS } from '../core/limits.ts';
import { crc32c } from './crc32c.ts';
import { CRC32C_OCTETS, type ProxyTls, SSL_HEAD_OCTETS, SSL_TLV, TLV, TLV_HEAD_OCTETS } from './tlv.ts';

/**
 * What a version 2 header says besides addresses. A text longer than PROXY_TEXT_OCTETS and a unique id longer
 * than PROXY_UNIQUE_ID_OCTETS are left out, not cut: half a name is somebody else's name.
 */
export interface ProxyTlvOptions {
  /** Names the session in the logs of both sides. */
  readonly uniqueId?: string | Uint8Array | undefined;
  /** The SNI of the client's TLS. */
  readonly authority?: string | undefined;
  readonly alpn?: string | undefined;
  readonly tls?: ProxyTls | undefined;
  /** Adds a checksum over the whole header; every receiver that knows it verifies it. */
  readonly crc32c?: boolean | undefined;
}

/** Octets that `writeTlvs` will write. */
export function tlvOctets(options: ProxyTlvOptions): number {
  return (
    valueTlvOctets(options.uniqueId, PROXY_UNIQUE_ID_OCTETS) +
    valueTlvOctets(options.authority, PROXY_TEXT_OCTETS) +
    valueTlvOctets(options.alpn, PROXY_TEXT_OCTETS) +
    (options.tls === undefined ? 0 : TLV_HEAD_OCTETS + sslOctets(options.tls)) +
    (options.crc32c === true ? TLV_HEAD_OCTETS + CRC32C_OCTETS : 0)
  );
}

/** Writes the TLVs from `at` to the end of `out`, which holds the finished rest of the header from 0 on. */
export function writeTlvs(out: Buffer, at: number, options: ProxyTlvOptions): void {
  let next = writeValue(out, at, TLV.uniqueId, options.uniqueId, PROXY_UNIQUE_ID_OCTETS);
  next = writeValue(out, next, TLV.authority, options.authority, PROXY_TEXT_OCTETS);
  next = writeValue(out, next, TLV.alpn, options.alpn, PROXY_TEXT_OCTETS);
  if (options.tls !== undefined) next = writeSsl(out, next, options.tls);
  if (options.crc32c !== true) return;

  next = writeHead(out, next, TLV.crc32c, CRC32C_OCTETS);
  write32(out, next, 0);
  write32(out, next, crc32c(out));
}

function sslOctets(tls: ProxyTls): number {
  return (
    SSL_HEAD_OCTETS +
    valueTlvOctets(tls.version, PROXY_TEXT_OCTETS) +
    valueTlvOctets(tls.commonName, PROXY_TEXT_OCTETS) +
    valueTlvOctets(tls.cipher, PROXY_TEXT_OCTETS) +
    valueTlvOctets(tls.signatureAlgorithm, PROXY_TEXT_OCTETS) +
    valueTlvOctets(tls.keyAlgorithm, PROXY_TEXT_OCTETS)
  );
}

function writeSsl(out: Buffer, at: number, tls: ProxyTls): number {
  let next = writeHead(out, at, TLV.ssl, sslOctets(tls));
  out[next] = tls.client;
  write32(out, next + 1, tls.verify);
  next = writeValue(out, next + SSL_HEAD_OCTETS, SSL_TLV.version, tls.version, PROXY_TEXT_OCTETS);
  next = writeValue(out, next, SSL_TLV.commonName, tls.commonName, PROXY_TEXT_OCTETS);
  next = writeValue(out, next, SSL_TLV.cipher, tls.cipher, PROXY_TEXT_OCTETS);
  next = writeValue(out, next, SSL_TLV.signatureAlgorithm, tls.signatureAlgorithm, PROXY_TEXT_OCTETS);
  return writeValue(out, next, SSL_TLV.keyAlgorithm, tls.keyAlgorithm, PROXY_TEXT_OCTETS);
}

/** Octets of the whole TLV; 0 where it is left out. */
function valueTlvOctets(value: string | Uint8Array | undefined, most: number): number {
  if (value === undefined) return 0;
  const octets = typeof value === 'string' ? Buffer.byteLength(value) : value.length;
  return octets > most ? 0 : TLV_HEAD_OCTETS + octets;
}

/** Returns the offset behind the TLV. */
function writeValue(
  out: Buffer,
  at: number,
  type: number,
  value: string | Uint8Array | undefined,
  most: number,
): number {
  const octets = valueTlvOctets(value, most);
  if (value === undefined || octets === 0) return at;
  const start = writeHead(out, at, type, octets - TLV_HEAD_OCTETS);
  if (typeof value === 'string') out.write(value, start, 'utf8');
  else out.set(value, start);
  return at + octets;
}

/** Returns the offset of the value. */
function writeHead(out: Buffer, at: number, type: number, octets: number): number {
  out[at] = type;
  out[at + 1] = octets >> 8;
  out[at + 2] = octets;
  return at + TLV_HEAD_OCTETS;
}

function write32(out: Buffer, at: number, word: number): void {
  out[at] = word >>> 24;
  out[at + 1] = word >>> 16;
  out[at + 2] = word >>> 8;
  out[at + 3] = word;
}
