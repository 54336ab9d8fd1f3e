/** What Node's sockets know of a TLS handshake, as the contract has it. */
import { createHash, X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls';
import type { TlsInfo, TlsPeer } from '../tls-contract.ts';

/** Why a certificate will not do: an error or its code; nothing where it will. */
type FaultOf = (certificate: DetailedPeerCertificate) => NodeJS.ErrnoException | string | null | undefined;

export function infoOf(socket: TLSSocket, serverName: string | null, faultOf: FaultOf): TlsInfo {
  const certificate = socket.getPeerCertificate(true);
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher()?.name ?? '',
    serverName,
    resumed: socket.isSessionReused(),
    peer: certificate?.subject === undefined ? null : peerOf(certificate, faultOf(certificate)),
  };
}

function peerOf(certificate: DetailedPeerCertificate, fault: ReturnType<FaultOf>): TlsPeer {
  const { subject, fingerprint256, raw, subjectaltname = '' } = certificate;
  const parts = Object.entries(subject).flatMap(([type, value]) =>
    (Array.isArray(value) ? value : [value]).map(text => `${type}=${text}`),
  );
  const [commonName] = ([] as (string | undefined)[]).concat(subject.CN);
  return {
    verified: !fault,
    fault: fault ? (typeof fault === 'string' ? fault : (fault.code ?? 'UNKNOWN')) : null,
    subject: parts.join(','),
    commonName: commonName ?? null,
    names: subjectaltname,
    keyFingerprint: keyFingerprint(raw),
    fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
  };
}

function keyFingerprint(certificate: Buffer): string {
  const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('hex');
}
