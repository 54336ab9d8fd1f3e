import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  hkdfSync,
  randomBytes,
} from 'node:crypto';
import { TICKET_KEY_OCTETS } from './listener-tls.ts';

/**
 * Ticket keys on their way to other instances. Who has a ticket key can read recorded sessions of TLS 1.2, so they lie
 * nowhere in the clear: they are encrypted (AES-256-GCM) with a key that is derived (HKDF, RFC 5869) from the private keys of
 * the certificates. Who has those may speak for the certificates anyhow; nobody else can make or read what is sealed here.
 */
export interface TicketSeal {
  /** Tells apart those who have other private keys; says nothing of them. 32 hexadecimal digits. */
  readonly group: string;
  /** As text of SEALED_OCTETS. What is sealed for one period does not open for another. */
  seal(period: number, key: Uint8Array): string;
  /** Null where nobody with the same private keys has sealed it, for this period. */
  open(period: number, sealed: string): Uint8Array | null;
}

const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;
/** Base64 of nonce, key and tag. */
export const SEALED_OCTETS = (4 * (NONCE_OCTETS + TICKET_KEY_OCTETS + TAG_OCTETS + 2)) / 3;

/**
 * `cluster`: its name; what is sealed for one is nothing to another. `privateKeys`: PEM, at least one, that can be read; all of
 * them count, in whatever order, and it does not matter how they are written.
 */
export function createTicketSeal(cluster: string, privateKeys: readonly string[]): TicketSeal {
  const digests = privateKeys.map(pem => {
    const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
    return createHash('sha512').update(der).digest('hex');
  });
  const material = [...new Set(digests)].sort().join('');
  const derive = (what: string, octets: number): Buffer =>
    Buffer.from(hkdfSync('sha256', material, cluster, `smtplb ticket keys 1: ${what}`, octets));
  const secret = derive('seal', 32);
  const about = (period: number): Buffer => Buffer.from(`ticket key ${period}`);
  return {
    group: derive('group', 16).toString('hex'),
    seal(period, key) {
      const nonce = randomBytes(NONCE_OCTETS);
      const cipher = createCipheriv('aes-256-gcm', secret, nonce).setAAD(about(period));
      return Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()]).toString(
        'base64',
      );
    },
    open(period, sealed) {
      if (sealed.length !== SEALED_OCTETS) return null;
      const bytes = Buffer.from(sealed, 'base64');
      if (bytes.length !== NONCE_OCTETS + TICKET_KEY_OCTETS + TAG_OCTETS) return null;
      try {
        const decipher = createDecipheriv('aes-256-gcm', secret, bytes.subarray(0, NONCE_OCTETS))
          .setAAD(about(period))
          .setAuthTag(bytes.subarray(-TAG_OCTETS));
        const key = [decipher.update(bytes.subarray(NONCE_OCTETS, -TAG_OCTETS)), decipher.final()];
        return Uint8Array.from(Buffer.concat(key));
      } catch {
        return null;
      }
    },
  };
}
