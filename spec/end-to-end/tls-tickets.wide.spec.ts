/** Session tickets over two whole instances: openssl resumes at one what it began at the other. */
import { join } from 'node:path';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { createAuthority, type TestCertificate } from '../support/certificates.ts';
import { eventuallyEqual } from '../support/eventually.ts';
import { FASTEST, type Instance, mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { run } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const VERSIONS = ['-tls1_2', '-tls1_3'] as const;

function edge(
  owner: Owner,
  port: number,
  name: string,
  backend: string,
  { certFile, keyFile }: TestCertificate,
) {
  const tls = { mode: 'implicit', certificates: [{ cert: certFile, key: keyFile }] };
  const cluster = { name: 'mail-edge', redis: `redis://127.0.0.1:${port}` };
  return startInstance(owner, FASTEST, { instance: name, cluster, ...mx([backend], {}, { tls }) });
}

const isShared = async (instance: Instance) =>
  (await instance.metrics()).value('smtplb_tls_ticket_keys_shared');

/** One session of openssl; returns what it says of it, `New` or `Reused`. */
async function session(owner: Owner, instance: Instance, options: readonly string[]): Promise<string> {
  const args = ['s_client', '-connect', formatAddress(instance.address()), '-servername', 'mx.example'];
  const { stdout } = await run(owner, 'openssl', [...args, ...options, '-ign_eof'], { input: 'QUIT\r\n' });
  return /^(New|Reused), TLSv1/m.exec(stdout)?.[1] ?? stdout;
}

t.test('a session goes on at another instance', needs('openssl', 'redis-server', 'redis-cli'), async t => {
  const authority = await createAuthority(t);
  const [shown, other] = await Promise.all([
    authority.issue({ names: ['mx.example'] }),
    authority.issue({ names: ['mx.example'] }),
  ]);
  const server = await startRedis(t);
  const backend = formatAddress((await startScriptedBackend(t, smtp())).address);
  const one = await edge(t, server.port, 'edge-1', backend, shown);
  const two = await edge(t, server.port, 'edge-2', backend, shown);
  const stranger = await edge(t, server.port, 'edge-3', backend, other);
  for (const instance of [one, two, stranger])
    await eventuallyEqual('keys that the others have', () => isShared(instance), 1);

  const directory = await temporaryDirectory(t);
  for (const [round, redis] of ['with Redis', 'and when it is gone'].entries()) {
    for (const version of VERSIONS) {
      const file = join(directory, `${round}${version}`);
      t.equal(await session(t, one, [version, '-sess_out', file]), 'New');
      t.equal(await session(t, two, [version, '-sess_in', file]), 'Reused', `${version} ${redis}`);
      t.equal(
        await session(t, one, [version, '-sess_in', file]),
        'Reused',
        `${version} at the same instance`,
      );
      t.equal(await session(t, stranger, [version, '-sess_in', file]), 'New', 'not with other certificates');
    }
    if (round === 0) await server.process.stop();
  }
  t.equal((await two.metrics()).sum('smtplb_tls_resumed_total'), 4);
  t.equal((await stranger.metrics()).sum('smtplb_tls_resumed_total'), 0);
});
