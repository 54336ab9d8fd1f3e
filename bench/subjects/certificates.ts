import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { IpAddress } from '../../lib/core/address.ts';
import { findProgram, freeAddress } from '../programs.ts';

/** The keys that mail servers have: what openssl makes of each. */
const KINDS = {
  ecdsa: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['-newkey', 'rsa:2048'],
} as const satisfies Record<string, readonly string[]>;

export type CertificateKind = keyof typeof KINDS;

export const CERTIFICATE_KINDS: readonly CertificateKind[] = ['ecdsa', 'rsa'];

/** PEM files of one certificate. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
  /** Both in one, as HAProxy wants them. */
  readonly both: string;
}

/** A certificate for localhost in `folder`, signed by itself; made when first asked for. Throws without openssl. */
export function certificateFiles(folder: string, kind: CertificateKind): CertificateFiles {
  const file = (suffix: string) => join(folder, `${kind}.${suffix}`);
  const files = { cert: file('crt'), key: file('key'), both: file('pem') };
  if (existsSync(files.both)) return files;
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const out = ['-keyout', files.key, '-out', files.cert];
  const openssl = findProgram('openssl') ?? 'openssl';
  execFileSync(openssl, ['req', '-x509', ...KINDS[kind], '-nodes', '-days', '30', ...names, ...out], {
    stdio: 'pipe',
  });
  writeFileSync(files.both, readFileSync(files.cert, 'utf8') + readFileSync(files.key, 'utf8'), {
    mode: 0o600,
  });
  return files;
}

/** A free address for each kind of certificate. */
export async function tlsDoors(): Promise<ReadonlyMap<CertificateKind, IpAddress>> {
  const doors = new Map<CertificateKind, IpAddress>();
  for (const kind of CERTIFICATE_KINDS) doors.set(kind, await freeAddress());
  return doors;
}
