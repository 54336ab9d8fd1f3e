/** Certificates for tests, made by openssl: an authority, and what it issues. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Owner } from './owner.ts';
import { run } from './processes.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** A certificate and its key, as PEM files and as their text. */
export interface TestCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

export interface IssueOptions {
  /** Names the certificate is valid for; the first is its common name, too. */
  readonly names: readonly string[];
  /** As openssl has it, such as `/CN=mx.example`; default: the first name, and an organisation. */
  readonly subject?: string;
  /** Default `ec`. */
  readonly type?: 'ec' | 'rsa';
  /** Default 30. */
  readonly days?: number;
  /** Issued so long ago, as faketime has it, such as `-40d`; needs faketime. */
  readonly issued?: string;
}

export interface TestAuthority extends TestCertificate {
  issue(options: IssueOptions): Promise<TestCertificate>;
}

/** An authority that nobody knows but who is given its certificate: `needs('openssl')`. */
export async function createAuthority(owner: Owner, name = 'Test Authority'): Promise<TestAuthority> {
  const directory = await temporaryDirectory(owner);
  let made = 0;

  const make = async (
    options: readonly string[],
    { type = 'ec', days = 30, issued }: Partial<IssueOptions>,
  ) => {
    const stem = join(directory, String(made++));
    const [certFile, keyFile] = [`${stem}.pem`, `${stem}.key`];
    const algorithm = type === 'ec' ? ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'] : ['rsa:2048'];
    const args = [
      ...['req', '-x509', '-newkey', ...algorithm, '-nodes', '-days', String(days)],
      ...['-keyout', keyFile, '-out', certFile, ...options],
    ];
    const exit =
      issued === undefined
        ? await run(owner, 'openssl', args)
        : await run(owner, 'faketime', ['-f', issued, 'openssl', ...args]);
    if (exit.exitCode !== 0) throw new Error(exit.stderr);
    return {
      certFile,
      keyFile,
      cert: await readFile(certFile, 'utf8'),
      key: await readFile(keyFile, 'utf8'),
    };
  };

  const own = await make(['-subj', `/CN=${name}`], {});
  return {
    ...own,
    issue: options =>
      make(
        [
          ...['-subj', options.subject ?? `/CN=${options.names[0]}/O=smtplb test`],
          ...['-CA', own.certFile, '-CAkey', own.keyFile],
          ...['-addext', `subjectAltName=${options.names.map(dns => `DNS:${dns}`).join(',')}`],
          ...['-addext', 'basicConstraints=critical,CA:FALSE'],
        ],
        options,
      ),
  };
}
