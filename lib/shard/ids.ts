import { randomBytes } from 'node:crypto';

/**
 * Session identifiers: `prefix-number`, unique over instances and restarts by the prefix's 48 random bits, short
 * enough to read out on the telephone, and well within the PROXY protocol's 128 octets.
 */
export function createIds(prefix = randomBytes(6).toString('base64url')): () => string {
  let count = 0;
  return () => {
    count++;
    return `${prefix}-${count.toString(36)}`;
  };
}
