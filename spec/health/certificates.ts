/** Certificates made on the spot, by openssl(1). */
import { join } from 'node:path';
import type { Owner } from '../support/owner.ts';
import { run } from '../support/processes.ts';

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** A certificate signed by itself for these subject alternative names; `days` may be -1: it has expired then. */
export async function selfSigned(
  owner: Owner,
  folder: string,
  names: string,
  days = 90,
): Promise<CertificateFiles> {
  const name = `${names}-${days}`.replaceAll(/[^a-z0-9-]/gi, '_');
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
  const made = await run(owner, 'openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...['-keyout', key, '-out', cert, '-subj', '/CN=test', '-addext', `subjectAltName=${names}`],
    ...(days > 0 ? ['-days', `${days}`] : []),
  ]);
  if (made.exitCode !== 0) throw new Error(made.stderr);
  if (days > 0) return { cert, key };
  // `req` makes no certificate that ends before it begins; `x509` re-dates one.
  const redated = await run(owner, 'openssl', [
    ...[
      'x509',
      '-in',
      cert,
      '-signkey',
      key,
      '-copy_extensions',
      'copyall',
      '-days',
      `${days}`,
      '-out',
      cert,
    ],
  ]);
  if (redated.exitCode !== 0) throw new Error(redated.stderr);
  return { cert, key };
}
