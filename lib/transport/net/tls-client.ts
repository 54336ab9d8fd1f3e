/** TLS towards a backend on Node's sockets: for sessions, and for checks, which are to find what sessions find. */
import { isIP, type Socket } from 'node:net';
import { connect, type SecureContext, type TLSSocket } from 'node:tls';
import type { TlsInfo } from '../tls-contract.ts';
import { askedName, nameFault } from '../tls-peer.ts';
import { infoOf } from './tls-info.ts';

export interface StartTlsOptions {
  readonly context: SecureContext;
  /** What the certificate must be valid for; sent as server name where it is a host name. */
  readonly serverName: string;
  /** An earlier session with this backend. */
  readonly session?: Buffer | undefined;
}

/** Begins the handshake. Whatever certificate comes, it goes on: `backendInfo` says what there is to judge. */
export function startTls(plain: Socket, { context, serverName, session }: StartTlsOptions): TLSSocket {
  return connect({
    socket: plain,
    secureContext: context,
    ...(isIP(serverName) === 0 && { servername: serverName }),
    ...(session !== undefined && { session }),
    // Judged by who asked for TLS: what is not verified may still be pinned by its fingerprint.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
}

/** Once `secureConnect` has come. */
export function backendInfo(socket: TLSSocket, serverName: string): TlsInfo {
  return infoOf(
    socket,
    askedName(serverName),
    certificate => socket.authorizationError ?? nameFault(serverName, certificate),
  );
}
