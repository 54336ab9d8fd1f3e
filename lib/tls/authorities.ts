import { readFileSync } from 'node:fs';
import * as tls from 'node:tls';

/** From Node 22.15 and 23.10 on. */
type GetAuthorities = (type: 'default') => readonly string[];

/** PEM texts of the authorities that Node's own TLS trusts: its own, and those of NODE_EXTRA_CA_CERTS. */
export function wellKnownAuthorities(): readonly string[] {
  const get = (tls as { getCACertificates?: GetAuthorities }).getCACertificates;
  if (get !== undefined) return get('default');
  const path = process.env['NODE_EXTRA_CA_CERTS'];
  return path === undefined ? tls.rootCertificates : [...tls.rootCertificates, ...readExtra(path)];
}

/** As Node does: a file that cannot be read adds nothing. */
function readExtra(path: string): readonly string[] {
  try {
    return [readFileSync(path, 'utf8')];
  } catch {
    return [];
  }
}
