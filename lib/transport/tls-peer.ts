import { createHash, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { TlsPeer } from './tls-contract.ts';

/** The certificate of the other side, as the contract has it. `fault`: why it will not do; null where it will. */
export function peerOf(certificate: PeerCertificate, fault: string | null): TlsPeer {
  const { subject, fingerprint256, raw, subjectaltname = '' } = certificate;
  const parts = Object.entries(subject).flatMap(([type, value]) =>
    (Array.isArray(value) ? value : [value]).map(text => `${type}=${text}`),
  );
  const [commonName] = ([] as (string | undefined)[]).concat(subject.CN);
  return {
    verified: fault === null,
    fault,
    subject: parts.join(','),
    commonName: commonName ?? null,
    names: subjectaltname,
    keyFingerprint: keyFingerprint(raw),
    fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
  };
}

/** The server name that is sent to a backend, in lower case; null for an address, which is not sent. */
export function askedName(serverName: string): string | null {
  return isIP(serverName) === 0 ? serverName.toLowerCase() : null;
}

/** Why a certificate is not one for this name or address (RFC 9525); null where it is. */
export function nameFault(serverName: string, certificate: PeerCertificate): string | null {
  const error = checkServerIdentity(serverName, certificate);
  return error === undefined ? null : ((error as NodeJS.ErrnoException).code ?? 'UNKNOWN');
}

function keyFingerprint(certificate: Buffer): string {
  const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('hex');
}
