import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

/** The texts of two PEM files: plain values. */
export interface PemPair {
  /** The certificate, then those that lead to its authority. */
  readonly cert: string;
  readonly key: string;
}

/** A pair that was looked at and found good: plain values, which can be sent to another thread. */
export interface CertificatePair extends PemPair {
  /** What it is valid for, in lower case, perhaps with a star for the first label; the common name where it lists none. */
  readonly names: readonly string[];
  /** `rsa`, `ec`, `ed25519` ...: of each kind one can serve a name. */
  readonly keyType: string;
  /** Wall-clock milliseconds. */
  readonly beginsAtMs: number;
  readonly expiresAtMs: number;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Every certificate of a PEM text; throws a sentence where there is none, or one that cannot be read. */
export function readCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(BLOCK) ?? [];
  if (blocks.length === 0) throw new Error('there is no PEM certificate in it');
  return blocks.map((block, at) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new Error(`certificate ${at + 1} of ${blocks.length} in it cannot be read`);
    }
  });
}

/** Looks at a pair; throws a sentence, with nothing of the key in it, where it will not do. */
export function checkPair({ cert, key }: PemPair): CertificatePair {
  const [own] = readCertificates(cert);
  if (own === undefined) throw new Error('there is no PEM certificate in it');
  const privateKey = readKey(key);
  if (!own.checkPrivateKey(privateKey)) throw new Error('the key is not that of the certificate');
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new Error(
      `OpenSSL does not take it: ${(error as { reason?: string }).reason ?? 'no reason given'}`,
    );
  }
  return {
    cert,
    key,
    names: namesOf(own),
    keyType: own.publicKey.asymmetricKeyType ?? 'unknown',
    beginsAtMs: Date.parse(own.validFrom),
    expiresAtMs: Date.parse(own.validTo),
  };
}

/** OpenSSL's own words are kept out: nobody promises what they quote. */
function readKey(pem: string): KeyObject {
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) throw new Error('there is no PEM private key in it');
  if (/-----BEGIN ENCRYPTED |Proc-Type: 4,ENCRYPTED/.test(pem)) {
    throw new Error('the private key is encrypted; store it without a passphrase, readable by smtplb only');
  }
  try {
    return createPrivateKey(pem);
  } catch {
    throw new Error('the private key cannot be read');
  }
}

/** RFC 6125 section 6.4.4: the common name counts only where no name is listed. */
function namesOf(certificate: X509Certificate): string[] {
  const listed = (certificate.subjectAltName ?? '')
    .split(', ')
    .filter(name => name.startsWith('DNS:'))
    .map(name => name.slice('DNS:'.length).toLowerCase());
  if (listed.length > 0) return listed;
  const [, commonName] = /^CN=(.+)$/m.exec(certificate.subject) ?? [];
  return commonName === undefined ? [] : [commonName.toLowerCase()];
}
