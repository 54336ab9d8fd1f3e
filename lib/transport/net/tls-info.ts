/** What Node's sockets know of a TLS handshake, as the contract has it. */
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import type { TlsInfo } from '../tls-contract.ts';
import { peerOf } from '../tls-peer.ts';

/** Why a certificate will not do: an error or its code; nothing where it will. */
type FaultOf = (certificate: DetailedPeerCertificate) => NodeJS.ErrnoException | string | null | undefined;

export function infoOf(socket: TLSSocket, serverName: string | null, faultOf: FaultOf): TlsInfo {
  const certificate = socket.getPeerCertificate(true);
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher()?.name ?? '',
    serverName,
    resumed: socket.isSessionReused(),
    peer: certificate?.subject === undefined ? null : peerOf(certificate, faultName(faultOf(certificate))),
  };
}

function faultName(fault: ReturnType<FaultOf>): string | null {
  if (!fault) return null;
  return typeof fault === 'string' ? fault : (fault.code ?? 'UNKNOWN');
}
