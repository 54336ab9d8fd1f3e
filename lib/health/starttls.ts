import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP, type Socket } from 'node:net';
import {
  type ConnectionOptions,
  connect,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import type { Address } from '../core/address.ts';
import { printable } from '../core/text.ts';
import { later } from './conversation.ts';
import type { StarttlsOptions } from './options.ts';

/** Authorities to trust, or why there are none. */
export type Trust =
  | { readonly ok: true; readonly context: SecureContext | undefined }
  | { readonly ok: false; readonly detail: string };

/** Reads the files of authorities and of our own certificate anew, so that replaced ones count from the next check on. */
export async function readTrust(options: StarttlsOptions | undefined): Promise<Trust> {
  const { ca: path, certificate } = options ?? {};
  if (path === undefined && certificate === undefined) return { ok: true, context: undefined };
  let reading = path ?? '';
  const read = (file: string): Promise<string> => {
    reading = file;
    return readFile(file, 'utf8');
  };
  try {
    const ca = path === undefined ? undefined : await read(path);
    if (ca !== undefined) new X509Certificate(ca);
    const own = certificate && { cert: await read(certificate.cert), key: await read(certificate.key) };
    return { ok: true, context: createSecureContext({ ...(ca !== undefined && { ca }), ...own }) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code?.startsWith('ERR_') === false ? `cannot be read (${code})` : 'holds no certificate';
    const key = reading === path ? 'check.starttls.ca' : 'tls.certificate';
    return { ok: false, detail: `${key}: ${printable(reading, 256)} ${why}` };
  }
}

/** What became of a handshake. The socket is there in every case, to take leave with or to destroy. */
export interface Secured {
  readonly socket: TLSSocket;
  readonly result: 'secure' | 'invalid' | 'broken' | 'late';
  /** Why it is not secure; empty where it is. */
  readonly detail: string;
  readonly certificateDaysLeft: number | null;
}

export interface SecureOptions extends StarttlsOptions {
  readonly trusted: SecureContext | undefined;
  readonly address: Address;
}

/** Speaks TLS on a connection that is new, or whose STARTTLS was answered with 220, until `signal`. Never rejects. */
export function secure(raw: Socket, options: SecureOptions, signal: AbortSignal): Promise<Secured> {
  const name = options.serverName ?? (options.address.family === 'unix' ? 'localhost' : options.address.host);
  const settings: ConnectionOptions = {
    socket: raw,
    // A handshake that ends in an invalid certificate still tells its dates.
    rejectUnauthorized: false,
    host: name,
    ...(isIP(name) === 0 && { servername: name }),
    ...(options.trusted !== undefined && { secureContext: options.trusted }),
  };
  const socket = connect(settings);
  const { promise, resolve } = later<Secured>();
  const settle = (result: Secured['result'], detail: string, certificateDaysLeft: number | null): void => {
    signal.removeEventListener('abort', onAbort);
    socket.off('close', onClose);
    resolve({ socket, result, detail, certificateDaysLeft });
  };
  const broken = (detail: string): void => settle('broken', detail, null);
  const onAbort = (): void => settle('late', '', null);
  const onClose = (): void => broken('the backend closed within the TLS handshake');
  socket.once('secureConnect', () => {
    const days = daysLeft(socket);
    const { fingerprints = [] } = options;
    if (fingerprints.length > 0) {
      if (fingerprintsOf(socket).some(found => fingerprints.includes(found))) settle('secure', '', days);
      else settle('invalid', 'the certificate is none of tls.fingerprints', days);
    } else if (!options.verify || socket.authorized) settle('secure', '', days);
    else settle('invalid', invalidity(socket, name), days);
  });
  socket.on('error', error => broken(`the TLS handshake failed (${codeOf(error)})`));
  socket.once('close', onClose);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  return promise;
}

const INVALIDITIES: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'it has expired'],
  ['CERT_NOT_YET_VALID', 'it is not valid yet; compare the clocks'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'it is signed by itself; name it in check.starttls.ca to trust it'],
  [
    'SELF_SIGNED_CERT_IN_CHAIN',
    'its authority is not trusted here; name the authority in check.starttls.ca to trust it',
  ],
  [
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'its authority is not known here, or an intermediate certificate is missing',
  ],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'its authority is not known here'],
]);

function invalidity(socket: TLSSocket, name: string): string {
  const code = String(socket.authorizationError);
  const known =
    code === 'ERR_TLS_CERT_ALTNAME_INVALID'
      ? `it is not for the name ${printable(name)}; set check.starttls.serverName to the name it is for`
      : (INVALIDITIES.get(code) ?? printable(code));
  return `the certificate is not valid: ${known}`;
}

/** Of the certificate, and of its public key. */
function fingerprintsOf(socket: TLSSocket): string[] {
  const { raw } = socket.getPeerCertificate();
  if (raw === undefined) return [];
  const key = new X509Certificate(raw).publicKey.export({ type: 'spki', format: 'der' });
  return [raw, key].map(bytes => createHash('sha256').update(bytes).digest('hex'));
}

/** Judged by the wall clock, as certificates are. */
function daysLeft(socket: TLSSocket): number | null {
  const expiresAt = Date.parse(socket.getPeerCertificate().valid_to);
  return Number.isNaN(expiresAt) ? null : Math.floor((expiresAt - Date.now()) / 86_400_000);
}

function codeOf(error: NodeJS.ErrnoException): string {
  return printable(error.code ?? error.message);
}
