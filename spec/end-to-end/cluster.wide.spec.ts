/** Several instances that share a Redis act as one balancer; and each serves, whatever becomes of Redis. */
import t from 'tap';
import { COUNTS_LEASE_MS, HEARTBEAT_MS } from '../../lib/cluster/limits.ts';
import { formatAddress } from '../../lib/core/address.ts';
import { settle } from '../cluster/leasing.ts';
import { eventually } from '../support/eventually.ts';
import { freeAddress } from '../support/free-port.ts';
import { ABOVE_TRANSPORTS, type Instance, mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { startRedis } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient, type SmtpClient } from '../support/smtp-client.ts';

const redis = needs('redis-server', 'redis-cli');

const PER_CLIENT = { limits: { perClient: { connections: 20, scope: 'cluster' } } };

async function greeted(owner: Owner, instance: Instance): Promise<SmtpClient> {
  const client = await connectClient(owner, instance.address());
  await client.expect(220);
  return client;
}

async function quit(client: SmtpClient): Promise<void> {
  await client.command('QUIT', 221);
  client.end();
}

const sees = (instance: Instance, backend: string, sessions: number) =>
  eventually(`${sessions} sessions at ${backend}`, async () => {
    const seen = (await instance.metrics()).value('smtplb_cluster_backend_sessions_active', { backend });
    if (seen !== sessions) throw new Error(`${seen}`);
    return true;
  });

for (const transport of ABOVE_TRANSPORTS) {
  t.test(`${transport}: two instances choose as one`, redis, async t => {
    const { port } = await startRedis(t);
    const backends = await Promise.all([1, 2].map(() => startScriptedBackend(t, smtp())));
    const settings = (instance: string) => ({
      instance,
      cluster: { name: 'edge', redis: `redis://127.0.0.1:${port}` },
      ...mx(backends.map(({ address }) => formatAddress(address))),
    });
    const a = await startInstance(t, transport, settings('a'));
    const b = await startInstance(t, transport, settings('b'));
    await a.logged('redis', ({ msg }) => msg === 'redis is reachable');
    await eventually('both', async () => (await b.metrics()).value('smtplb_cluster_instances') === 2);

    const first = await greeted(t, a);
    const at = (await a.metrics()).value('smtplb_backend_sessions_active', { backend: 'b1' }) === 1 ? 1 : 2;
    const [full, empty] = [`b${at}`, `b${3 - at}`];
    const from = performance.now();
    await sees(b, full, 1);
    t.comment(`a session at one instance was seen at the other after ${(performance.now() - from) | 0} ms`);
    // Alone, the second instance would draw lots.
    const second = await greeted(t, b);
    t.equal((await b.metrics()).value('smtplb_backend_sessions_active', { backend: empty }), 1);
    await sees(a, empty, 1);
    t.equal((await a.metrics()).value('smtplb_cluster_backend_sessions_active', { backend: full }), 1);
    await quit(first);
    await sees(b, full, 0);
    t.equal((await b.metrics()).value('smtplb_cluster_backend_sessions_active', { backend: empty }), 1);
    const stopped = b.stop();
    await quit(second);
    await stopped;
    await sees(a, empty, 0);
    // Who goes without a word is there for a whole lease.
    const goneAt = performance.now();
    await eventually(
      'a good-bye',
      async () => (await a.metrics()).value('smtplb_cluster_instances') === 1,
      COUNTS_LEASE_MS - 2 * HEARTBEAT_MS,
    );
    t.comment(`a good-bye was heard after ${(performance.now() - goneAt).toFixed()} ms`);
  });

  t.test(`${transport}: without Redis an instance starts, serves and says so`, redis, async t => {
    const nobody = await freeAddress();
    const backend = await startScriptedBackend(t, smtp());
    const instance = await startInstance(t, transport, {
      cluster: { redis: `redis://${formatAddress(nobody)}` },
      ...mx([formatAddress(backend.address)]),
    });
    await quit(await greeted(t, instance));
    const line = await instance.logged('no redis', ({ msg }) => /^redis is not reachable/.test(`${msg}`));
    t.match(line, { level: 'warn', reason: /ECONNREFUSED/ });
    const metrics = await instance.metrics();
    t.equal(metrics.value('smtplb_redis_up'), 0);
    t.equal(metrics.value('smtplb_cluster_backend_sessions_active'), undefined);
    const server = await startRedis(t, { port: nobody.port });
    await instance.logged('redis', ({ msg }) => msg === 'redis is reachable');
    t.equal((await instance.metrics()).value('smtplb_redis_up'), 1);
    await server.process.stop();
    await quit(await greeted(t, instance));
  });

  t.test(`${transport}: a reload brings backends and takes them away`, redis, async t => {
    const { port } = await startRedis(t);
    const [one, two] = await Promise.all([1, 2].map(() => startScriptedBackend(t, smtp())));
    const settings = (...names: string[]) => ({
      cluster: { redis: `redis://127.0.0.1:${port}` },
      ...mx(
        names.map(name => ({ name, address: formatAddress((name === 'one' ? one : two)?.address as never) })),
      ),
    });
    const a = await startInstance(t, transport, settings('one'));
    const b = await startInstance(t, transport, settings('one', 'two'));
    const client = await greeted(t, a);
    await sees(b, 'one', 1);
    a.configure(settings('two'));
    t.match(await a.server.reload(), { ok: true });
    const other = await greeted(t, a);
    await sees(b, 'two', 1);
    t.equal(
      (await b.metrics()).value('smtplb_cluster_backend_sessions_active', { backend: 'one' }),
      1,
      'who is still at a backend that this instance no longer knows is counted on',
    );
    await quit(client);
    await sees(b, 'one', 0);
    await quit(other);
    await sees(b, 'two', 0);
  });

  t.test(`${transport}: a limit over the cluster is never passed, and all of it is used`, redis, async t => {
    const server = await startRedis(t);
    await settle(server, 'mx/b1');
    const backend = await startScriptedBackend(t, smtp());
    const LIMIT = 20;
    const maxConnections = { count: LIMIT, scope: 'cluster' };
    const all = await Promise.all(
      [1, 2, 3, 4].map(at =>
        startInstance(t, transport, {
          instance: `i${at}`,
          cluster: { name: 'edge', redis: `redis://127.0.0.1:${server.port}` },
          ...mx([{ address: formatAddress(backend.address), maxConnections }], {
            queue: { size: 100, timeout: '30s' },
          }),
        }),
      ),
    );
    // The backend hangs up first, and before smtplb gives the slot back: what it counts is never too much.
    let most = 0;
    let open = 0;
    let full = (): void => {};
    const allIn = new Promise<void>(resolve => {
      full = resolve;
    });
    const served = all.flatMap(instance =>
      Array.from({ length: 15 }, async () => {
        const client = await connectClient(t, instance.address());
        await client.expect(220, 30_000);
        open++;
        most = Math.max(most, open);
        // Who has been greeted stays until all of the limit is in use.
        if (open === LIMIT || most === LIMIT) full();
        await allIn;
        open--;
        await quit(client);
      }),
    );
    await Promise.all(served);
    t.equal(most, LIMIT, `${most} sessions at once, of ${served.length}`);
    t.equal(backend.connections.length, served.length);
    let hits = 0;
    for (const instance of all)
      hits += (await instance.metrics()).value('smtplb_backend_grant_exhausted_total') ?? 0;
    t.ok(hits > 0, 'that sessions waited for slots is counted');
  });
}

t.test('a reload with scope instance is the way out without Redis', redis, async t => {
  const server = await startRedis(t);
  await settle(server, 'mx/b1');
  const backend = await startScriptedBackend(t, smtp());
  const settings = (scope: string) => ({
    cluster: { name: 'edge', redis: `redis://127.0.0.1:${server.port}` },
    ...mx([{ address: formatAddress(backend.address), maxConnections: { count: 9, scope } }], {}, PER_CLIENT),
  });
  const instance = await startInstance(t, 'net', settings('cluster'));
  const client = await greeted(t, instance);
  await instance.logged('redis', ({ msg }) => msg === 'redis is reachable');
  await eventually(
    'slots beyond those taken',
    async () => ((await instance.metrics()).value('smtplb_backend_granted_slots') ?? 0) > 1,
  );

  // As an operator would do who is without Redis for long.
  await server.process.stop();
  instance.configure(settings('instance'));
  t.match(await instance.server.reload(), { ok: true });
  t.equal((await instance.metrics()).value('smtplb_backend_granted_slots'), undefined);
  const clients = [];
  for (let at = 0; at < 8; at++) clients.push(await greeted(t, instance));
  for (const each of [client, ...clients]) await quit(each);
  await instance.stop();
});
