/** Limits on clients that hold over two whole instances, and without Redis over each by itself. */
import t from 'tap';
import { CLIENT_LEASE_MS, HEARTBEAT_MS } from '../../lib/cluster/limits.ts';
import { formatAddress } from '../../lib/core/address.ts';
import { eventually } from '../support/eventually.ts';
import {
  FASTEST,
  type Instance,
  mx,
  startInstance,
  type TransportName,
  WITH_NET,
} from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { startRedis } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient, type SmtpClient } from '../support/smtp-client.ts';

const redis = needs('redis-server', 'redis-cli');
const LIMIT = 8;
/** Limits are taken before a transport has anything to do with a session: one test on each. */
const [FIRST = FASTEST] = WITH_NET;

/** A session from there, or null where it is refused for what its client has already. */
async function enter(owner: Owner, instance: Instance, from: string): Promise<SmtpClient | null> {
  const client = await connectClient(owner, instance.address(), { from });
  const { code, raw } = await client.reply();
  if (code === 220) return client;
  if (!raw.startsWith('421 4.7.0')) throw new Error(raw);
  client.end();
  return null;
}

async function leave(client: SmtpClient): Promise<void> {
  await client.command('QUIT', 221);
  client.end();
}

/** How many sessions in a row are let in; at most `most`. */
async function crowd(owner: Owner, instance: Instance, from: string, most: number): Promise<SmtpClient[]> {
  const clients: SmtpClient[] = [];
  while (clients.length < most) {
    const client = await enter(owner, instance, from);
    if (client === null) break;
    clients.push(client);
  }
  return clients;
}

/** Resolves when an instance has heard what the other has: so many are let in, and stay. Until then it gives its own limit. */
const roomFor = (owner: Owner, instance: Instance, from: string, sessions: number) =>
  eventually(`room for ${sessions}`, async () => {
    const clients = await crowd(owner, instance, from, LIMIT);
    if (clients.length === sessions) return clients;
    await Promise.all(clients.map(leave));
    await instance.idle();
    throw new Error(`${clients.length} were let in`);
  });

async function two(owner: Owner, transport: TransportName, perClient: object) {
  const server = await startRedis(owner);
  const backend = await startScriptedBackend(owner, smtp());
  const settings = (instance: string) => ({
    instance,
    cluster: { name: 'edge', redis: `redis://127.0.0.1:${server.port}` },
    ...mx(
      [formatAddress(backend.address)],
      {},
      { limits: { perClient: { ...perClient, scope: 'cluster' } } },
    ),
  });
  const a = await startInstance(owner, transport, settings('a'));
  const b = await startInstance(owner, transport, settings('b'));
  for (const instance of [a, b])
    await eventually('both', async () => (await instance.metrics()).value('smtplb_cluster_instances') === 2);
  return { a, b, server };
}

t.test(`${FIRST}: so many sessions of a client, wherever it connects`, redis, async t => {
  const { a, b, server } = await two(t, FIRST, { connections: LIMIT });
  const first = await crowd(t, a, '127.0.0.2', LIMIT - 2);
  t.equal(first.length, LIMIT - 2);
  const from = performance.now();
  const second = await roomFor(t, b, '127.0.0.2', 2);
  t.comment(
    `what a client has at one instance counted at the other after ${(performance.now() - from) | 0} ms`,
  );
  await eventually('no more anywhere', async () => {
    const one = await enter(t, a, '127.0.0.2');
    if (one !== null) await leave(one);
    return one === null;
  });
  const other = await enter(t, b, '127.0.0.3');
  t.ok(other, 'another client has its own');

  await Promise.all(first.map(leave));
  const again = await eventually('room for it', () => enter(t, b, '127.0.0.2'));
  await leave(again);

  const third = await roomFor(t, a, '127.0.0.2', LIMIT - second.length);
  await Promise.all(third.map(leave));
  await a.idle();
  await server.process.stop();
  const stoppedAt = performance.now();
  const alone = await crowd(t, a, '127.0.0.2', 2 * LIMIT);
  const tookMs = performance.now() - stoppedAt;
  t.comment(`${alone.length} were let in within ${tookMs.toFixed()} ms without Redis`);
  // What was heard is good for a lease, of which a heartbeat or two were over.
  if (tookMs < CLIENT_LEASE_MS - 2 * HEARTBEAT_MS)
    t.equal(alone.length, LIMIT - second.length, 'what was heard of the others still counts');
  await eventually('each by itself', async () => {
    alone.push(...(await crowd(t, a, '127.0.0.2', 2 * LIMIT)));
    return alone.length === LIMIT;
  });
  t.equal(await enter(t, a, '127.0.0.2'), null, 'without Redis each has the whole limit, and not more');
});

t.test(`${FASTEST}: so many sessions a time, wherever a client connects`, redis, async t => {
  const { a, b, server } = await two(t, FASTEST, { rate: `${LIMIT}/10m` });
  const first = await crowd(t, a, '127.0.0.2', LIMIT - 2);
  t.equal(first.length, LIMIT - 2);
  await eventually('Redis to know', async () =>
    (await server.cli('keys', '*client:mx:*')).includes('127.0.0.2'),
  );
  // The other instance asks about those that have a good part of their limit there.
  const second = await crowd(t, b, '127.0.0.2', LIMIT);
  await eventually('it to be refused everywhere', async () => {
    const results = [await enter(t, a, '127.0.0.2'), await enter(t, b, '127.0.0.2')];
    return results.every(result => result === null);
  });
  t.comment(
    `${first.length} at one instance, then ${second.length} at once at the other, of ${LIMIT} in all`,
  );
  t.ok(second.length >= 2 && second.length <= LIMIT);
  await server.process.stop();
  t.equal(await enter(t, a, '127.0.0.2'), null, 'without Redis what was spent stays spent');
  t.equal(
    (await crowd(t, b, '127.0.0.3', 2 * LIMIT)).length,
    LIMIT,
    'and others have the whole rate at each',
  );
});
