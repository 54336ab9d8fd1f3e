/** A client comes back to its backend, whichever instance it comes to; without Redis mostly, and with it as it should. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { post } from '../support/admin-api.ts';
import { eventually } from '../support/eventually.ts';
import { ABOVE_TRANSPORTS, type Instance, mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { startRedis } from '../support/redis.ts';
import { type ScriptedBackend, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const redis = needs('redis-server', 'redis-cli');
const TOKEN = 'a-token-of-some-length';
const CLIENTS = Array.from({ length: 60 }, (_, at) => `127.0.1.${at + 1}`);

/** Which backend serves a session from there. */
async function servedBy(owner: Owner, instance: Instance, from: string): Promise<string> {
  const client = await connectClient(owner, instance.address(), { from });
  const { raw } = await client.expect(220);
  await client.command('QUIT', 221);
  client.end();
  return /220 (\w+)\./.exec(raw)?.[1] ?? raw;
}

async function all(owner: Owner, instance: Instance): Promise<string[]> {
  const served: string[] = [];
  for (const from of CLIENTS) served.push(await servedBy(owner, instance, from));
  return served;
}

const same = (one: readonly string[], other: readonly string[]): number =>
  one.filter((name, at) => name === other[at]).length;

const settings = (
  instance: string,
  backends: readonly ScriptedBackend[],
  port: number | null,
  sticky: object = { timeout: '1s' },
) => ({
  instance,
  admin: { listen: '127.0.0.1:0', token: TOKEN },
  ...(port !== null && { cluster: { name: 'edge', redis: `redis://127.0.0.1:${port}` } }),
  ...mx(
    backends.map(({ address }) => formatAddress(address)),
    { sticky },
  ),
});

const three = (owner: Owner) =>
  Promise.all([1, 2, 3].map(at => startScriptedBackend(owner, smtp({ hostName: `b${at}.example` }))));

const reachable = (instance: Instance) => instance.logged('redis', ({ msg }) => msg === 'redis is reachable');

const lookups = async (instance: Instance) => {
  const metrics = await instance.metrics();
  const of = (result: string) => metrics.value('smtplb_sticky_lookups_total', { pool: 'mx', result });
  return { cache: of('cache'), redis: of('redis'), hash: of('hash'), timeout: of('timeout') };
};

for (const transport of ABOVE_TRANSPORTS) {
  t.test(`${transport}: what one instance has learnt another goes by`, redis, async t => {
    const { port, cli } = await startRedis(t);
    const backends = await three(t);
    // Each shard remembers what it has seen itself, and asks for the rest.
    const knowing = (name: string, some = backends) => ({ ...settings(name, some, port), shards: 1 });
    const a = await startInstance(t, transport, knowing('a', backends.slice(0, 2)));
    await reachable(a);
    const learnt = await all(t, a);
    await eventually(
      'all of them in Redis',
      async () => (await cli('keys', '*sticky*')).split('\n').length === CLIENTS.length,
    );

    // The third backend would have a third of the clients, if the hash were asked.
    const b = await startInstance(t, transport, knowing('b'));
    await reachable(b);
    t.same(await all(t, b), learnt, 'with Redis: every client');
    t.same(await lookups(b), { cache: 0, redis: CLIENTS.length, hash: 0, timeout: 0 });
    t.same(await all(t, b), learnt);
    t.match(await lookups(b), { cache: CLIENTS.length }, 'the second time without a question');
    const [line] = await b.sessions(1);
    t.match(line, { sticky: 'redis' });

    a.configure(knowing('a'));
    t.match(await a.server.reload(), { ok: true });
    await cli('flushall');
    t.same(await all(t, a), learnt, 'Redis wiped: an instance goes by what it knows itself');
    const c = await startInstance(t, transport, settings('c', backends, port));
    await reachable(c);
    await cli('flushall'); // on a slow machine the other has told it again meanwhile
    const wiped = same(await all(t, c), learnt);
    t.comment(
      `Redis wiped, an instance that knows nothing: ${wiped} of ${CLIENTS.length} reach their backend`,
    );
    t.ok(wiped < CLIENTS.length && wiped > CLIENTS.length / 3, 'the hash finds most of them');
  });

  t.test(`${transport}: without Redis all instances come to the same backend by hash`, redis, async t => {
    const { port, process } = await startRedis(t);
    const backends = await three(t);
    const a = await startInstance(t, transport, settings('a', backends, port));
    const b = await startInstance(t, transport, settings('b', [...backends], port));
    await reachable(a);
    await reachable(b);
    await process.stop();
    const [one, two] = [await all(t, a), await all(t, b)];
    t.equal(same(one, two), CLIENTS.length, `${same(one, two)} of ${CLIENTS.length}`);
    t.equal(new Set(one).size, 3, 'spread over all backends');
    t.match(await lookups(b), { redis: 0, timeout: CLIENTS.length });
  });

  t.test(`${transport}: an instance alone remembers by itself; a drained backend gives way`, async t => {
    const backends = await three(t);
    const sticky = { by: 'client-network', timeout: '1s' };
    // Another shard that has seen the client would hear of its move only with its next claim.
    const a = await startInstance(t, transport, { ...settings('a', backends, null, sticky), shards: 1 });
    const home = await servedBy(t, a, '127.0.1.1');
    t.equal(await servedBy(t, a, '127.0.1.77'), home, 'the same network');
    const verb = (state: string) =>
      post(a.admin, `pools/mx/backends/${home}/${state}`, undefined, { token: TOKEN });
    t.match(await verb('drain'), { status: 200 });
    const next = await servedBy(t, a, '127.0.1.1');
    t.not(next, home);
    t.match(await verb('ready'), { status: 200 });
    t.equal(await servedBy(t, a, '127.0.1.1'), next, 'and is not returned to');
    t.equal((await a.metrics()).value('smtplb_sticky_moved_total', { pool: 'mx' }), 1);
  });

  t.test(`${transport}: a drained backend gives way for all instances`, redis, async t => {
    const { port, cli } = await startRedis(t);
    const backends = await three(t);
    const a = await startInstance(t, transport, settings('a', backends, port));
    const b = await startInstance(t, transport, settings('b', backends, port));
    await reachable(a);
    await reachable(b);
    const home = await servedBy(t, a, '127.0.1.1');
    await eventually('known to Redis', async () => (await cli('keys', '*sticky*')) !== '');
    t.equal(await servedBy(t, b, '127.0.1.1'), home);
    t.match(await lookups(b), { redis: 1 });
    const { status } = await post(a.admin, `pools/mx/backends/${home}/drain`, undefined, { token: TOKEN });
    t.equal(status, 200);
    const next = await servedBy(t, a, '127.0.1.1');
    t.not(next, home);
    const c = await startInstance(t, transport, settings('c', backends, port));
    await reachable(c);
    await eventually('the new one', async () => (await servedBy(t, c, '127.0.1.1')) === next);
  });
}
