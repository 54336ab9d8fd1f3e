import { printable } from '../core/text.ts';
import type { TlsInfo } from '../transport/tls-contract.ts';

export interface BackendTlsRules {
  readonly verify: boolean;
  /** SHA-256 of certificates or public keys in lower-case hexadecimal; where there are any, nothing else counts. */
  readonly fingerprints: readonly string[];
}

const FAULTS: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'it has expired'],
  ['CERT_NOT_YET_VALID', 'it is not valid yet; compare the clocks'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'it is signed by itself; name it in {section}.ca to trust it'],
  [
    'SELF_SIGNED_CERT_IN_CHAIN',
    'its authority is not trusted here; name the authority in {section}.ca to trust it',
  ],
  [
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'its authority is not known here, or an intermediate certificate is missing',
  ],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'its authority is not known here'],
]);

/**
 * Why a backend with this handshake is not the one that is meant, as a sentence safe to show; null where it is. `section`:
 * of the configuration, where to change that.
 */
export function distrust(
  info: TlsInfo,
  name: string,
  { verify, fingerprints }: BackendTlsRules,
  section = 'tls',
): string | null {
  const { peer } = info;
  // Keys of an earlier handshake, and nobody without them: a session is only kept of a backend that was trusted, and
  // no certificate is shown again.
  if (info.resumed && peer === null) return null;
  if (fingerprints.length > 0) {
    if (peer === null) return 'the backend has shown no certificate';
    if (fingerprints.includes(peer.fingerprint) || fingerprints.includes(peer.keyFingerprint)) return null;
    return `the certificate (SHA-256 ${peer.fingerprint}, of its key ${peer.keyFingerprint}) is none of ${section}.fingerprints`;
  }
  if (!verify) return null;
  if (peer === null) return 'the backend has shown no certificate';
  if (peer.verified) return null;
  const code = peer.fault ?? 'UNKNOWN';
  if (code !== 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `the certificate is not valid: ${(FAULTS.get(code) ?? printable(code)).replace('{section}', section)}`;
  const names = printable(peer.names === '' ? (peer.commonName ?? 'nobody') : peer.names);
  return `the certificate is for ${names}, not for ${printable(name)}; set ${section}.serverName to the name it is for`;
}
