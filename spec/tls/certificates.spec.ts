import { chmod, copyFile, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type CertificatePair, checkPair } from '../../lib/tls/certificate-pair.ts';
import { createCertificateStore } from '../../lib/tls/certificate-store.ts';
import { createAuthority, type TestCertificate } from '../support/certificates.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { run } from '../support/processes.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const DAY_MS = 86_400_000;

t.test('a pair is looked at before it is used', needs('openssl', 'faketime'), async t => {
  const authority = await createAuthority(t);
  const [ec, rsa, old] = await Promise.all([
    authority.issue({ names: ['MX.example.net', '*.Example.org'], days: 10 }),
    authority.issue({ names: ['mx.example.net'], type: 'rsa' }),
    authority.issue({ names: ['old.example'], days: 3, issued: '-5d' }),
  ]);
  const pair = checkPair(ec);
  t.match(pair, { names: ['mx.example.net', '*.example.org'], keyType: 'ec' });
  t.ok(Math.abs(pair.expiresAtMs - Date.now() - 10 * DAY_MS) < DAY_MS);
  t.equal(checkPair(rsa).keyType, 'rsa');
  t.ok(checkPair(old).expiresAtMs < Date.now(), 'one that has expired is shown all the same');
  t.strictSame(checkPair(authority).names, ['test authority'], 'the common name where no name is listed');

  const encrypted = await run(t, 'openssl', [
    'pkcs8',
    '-topk8',
    '-in',
    ec.keyFile,
    '-passout',
    'pass:secret',
  ]);
  const weak = await weakKey(t);
  for (const [what, cert, key, wanted] of [
    ['two that do not belong together', ec.cert, rsa.key, /the key is not that of the certificate/],
    ['no certificate', 'hello', ec.key, /no PEM certificate/],
    ['a broken certificate', ec.cert.replace(/\n[A-Za-z0-9+/]{20}/, '\n'), ec.key, /cannot be read/],
    ['no key', ec.cert, ec.cert, /no PEM private key/],
    ['a broken key', ec.cert, ec.key.replace(/\n[A-Za-z0-9+/]{20}/, '\n'), /the private key cannot be read/],
    ['an encrypted key', ec.cert, encrypted.stdout, /is encrypted/],
    ['a key that OpenSSL does not take', weak.cert, weak.key, /too small/],
  ] as const) {
    let message = '';
    try {
      checkPair({ cert, key });
    } catch (error) {
      message = (error as Error).message;
    }
    t.match(message, wanted, what);
    t.notMatch(message, /[A-Za-z0-9+/]{30}/, 'nothing of a file is quoted');
  }
});

async function weakKey(owner: Owner): Promise<{ cert: string; key: string }> {
  const directory = await temporaryDirectory(owner);
  const [cert, key] = [join(directory, 'c'), join(directory, 'k')];
  await run(owner, 'openssl', [
    ...['req', '-x509', '-newkey', 'rsa:512', '-nodes', '-subj', '/CN=weak', '-keyout', key, '-out', cert],
  ]);
  return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
}

t.test(
  'files are watched: a change that is good is used, one that is not is told once',
  needs('openssl'),
  async t => {
    const authority = await createAuthority(t);
    const [first, second, third] = await Promise.all(
      ['a.example', 'b.example', 'c.example'].map(name => authority.issue({ names: [name] })),
    );
    const directory = await temporaryDirectory(t);
    const files = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') };
    const put = async (from: TestCertificate | undefined): Promise<void> => {
      await copyFile(from?.certFile ?? '', files.cert);
      await copyFile(from?.keyFile ?? '', files.key);
    };
    const told: string[] = [];
    const loaded: (CertificatePair | null)[] = [];
    const store = createCertificateStore({
      onBad: ({ text }) => told.push(text),
      onLoaded: ({ pair }) => loaded.push(pair),
    });
    await t.rejects(
      store.load([files]),
      /cert\.pem: there is no such file/,
      'what was never good cannot be kept',
    );
    await put(first);
    await store.load([files]);
    t.strictSame(store.pair(files).names, ['a.example']);
    t.equal(await store.poll(), false);

    await copyFile(second?.certFile ?? '', files.cert);
    t.equal(await store.poll(), false);
    t.strictSame(told, [], 'half of a change is no fault yet');
    t.strictSame(store.pair(files).names, ['a.example'], 'and not in use');
    await copyFile(second?.keyFile ?? '', files.key);
    t.equal(await store.poll(), true);
    t.strictSame(store.pair(files).names, ['b.example']);

    await writeFile(files.cert, 'nonsense');
    for (let look = 0; look < 5; look++) t.equal(await store.poll(), false);
    t.match(
      told,
      [/no PEM certificate in it; the one before stays in use/],
      'once, however often it is looked at',
    );
    await writeFile(files.cert, 'other nonsense');
    for (let look = 0; look < 5; look++) await store.poll();
    await rm(files.key);
    for (let look = 0; look < 5; look++) await store.poll();
    t.equal(told.length, 3, 'and again for each change');
    t.match(told[2], /key\.pem: there is no such file/);
    t.strictSame(store.pair(files).names, ['b.example']);
    await store.load([files]);
    t.strictSame(store.pair(files).names, ['b.example'], 'a reload keeps it, too');

    // As certbot and Kubernetes do it: a link leads elsewhere.
    await rm(files.cert);
    await symlink(third?.certFile ?? '', files.cert);
    await symlink(third?.keyFile ?? '', files.key);
    t.equal(await store.poll(), true);
    t.strictSame(store.pair(files).names, ['c.example']);
    t.equal(loaded.length, 3);
    await chmod(first?.keyFile ?? '', 0o600);

    store.watch([]);
    t.throws(() => store.pair(files), /was not loaded/, 'what nobody uses is forgotten');
  },
);
