import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Address } from '../core/address.ts';
import { printable } from '../core/text.ts';
import { distrust } from '../tls/backend-tls.ts';
import { backendContext } from '../tls/secure-context.ts';
import { backendInfo, startTls } from '../transport/net/tls-client.ts';
import { later } from './conversation.ts';
import type { StarttlsOptions } from './options.ts';

/** What a check goes by, or why it cannot. */
export type Trust =
  | { readonly ok: true; readonly context: SecureContext | undefined }
  | { readonly ok: false; readonly detail: string };

/** Reads the file of a check's own authorities anew, so that replaced ones count from the next check on. */
export async function readTrust(options: StarttlsOptions | undefined): Promise<Trust> {
  if (options === undefined) return { ok: true, context: undefined };
  const { asSessions, ca: path } = options;
  if (asSessions !== undefined) return { ok: true, context: backendContext(asSessions) };
  try {
    const ca = path === undefined ? null : await readFile(path, 'utf8');
    if (ca !== null) new X509Certificate(ca);
    return { ok: true, context: backendContext({ ca, certificate: null, minVersion: '1.2' }) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code?.startsWith('ERR_') === false ? `cannot be read (${code})` : 'holds no certificate';
    return { ok: false, detail: `check.starttls.ca: ${printable(path ?? '', 256)} ${why}` };
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
  readonly context: SecureContext;
  readonly address: Address;
}

/** Speaks TLS on a connection that is new, or whose STARTTLS was answered with 220, until `signal`. Never rejects. */
export function secure(raw: Socket, options: SecureOptions, signal: AbortSignal): Promise<Secured> {
  const { address, asSessions, context, verify } = options;
  const name = options.serverName ?? (address.family === 'unix' ? 'localhost' : address.host);
  const socket = startTls(raw, { context, serverName: name });
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
    const rules = asSessions ?? { verify, fingerprints: [] };
    const section = asSessions === undefined ? 'check.starttls' : 'tls';
    const doubt = distrust(backendInfo(socket, name), name, rules, section);
    settle(doubt === null ? 'secure' : 'invalid', doubt ?? '', daysLeft(socket));
  });
  socket.on('error', error => broken(`the TLS handshake failed (${codeOf(error)})`));
  socket.once('close', onClose);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  return promise;
}

/** Judged by the wall clock, as certificates are. */
function daysLeft(socket: TLSSocket): number | null {
  const expiresAt = Date.parse(socket.getPeerCertificate().valid_to);
  return Number.isNaN(expiresAt) ? null : Math.floor((expiresAt - Date.now()) / 86_400_000);
}

function codeOf(error: NodeJS.ErrnoException): string {
  return printable(error.code ?? error.message);
}
