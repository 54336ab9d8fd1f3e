import { createHash, X509Certificate } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';
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

function keyFingerprint(certificate: Buffer): string {
  const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('hex');
}
