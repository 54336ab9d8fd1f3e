/** What operators say to a whole cluster, and what its instances know of each other. */
import t from 'tap';
import type { ClusterDocument } from '../../lib/admin/cluster-status.ts';
import { formatAddress } from '../../lib/core/address.ts';
import { call, post, status } from '../support/admin-api.ts';
import { called } from '../support/called.ts';
import { eventually } from '../support/eventually.ts';
import { freeAddress } from '../support/free-port.ts';
import { type Instance, mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { type ScriptedBackend, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const redis = needs('redis-server', 'redis-cli');
const TOKEN = 'a-token';
/** A second is promised; a busy machine has some more. */
const SOON_MS = 5_000;

function edge(
  owner: Owner,
  name: string,
  { port }: RedisServer,
  backends: readonly ScriptedBackend[],
  pool = {},
) {
  return startInstance(owner, 'net', {
    instance: name,
    shards: 1,
    admin: { listen: '127.0.0.1:0', token: TOKEN },
    cluster: { name: 'edge', redis: `redis://127.0.0.1:${port}` },
    ...mx(
      backends.map(({ address }) => formatAddress(address)),
      pool,
    ),
  });
}

const tell = (instance: Instance, backend: string, verb: string, body: object = { cluster: true }) =>
  post(instance.admin, `pools/mx/backends/${backend}/${verb}`, body, { token: TOKEN });

const cluster = async (instance: Instance) =>
  (await call(instance.admin, '/api/v1/cluster')).json as ClusterDocument;

async function state(instance: Instance, backend: string): Promise<string> {
  const found = (await status(instance.admin)).pools[0]?.backends.find(({ name }) => name === backend);
  return `${found?.admin} ${found?.adminScope}`;
}

async function soon(instance: Instance, backend: string, expected: string): Promise<number> {
  const from = performance.now();
  await eventually(`${backend} to be ${expected}`, async () => {
    const is = await state(instance, backend);
    if (is !== expected) throw new Error(is);
    return true;
  });
  return performance.now() - from;
}

/** What a command prints, and with what status it ends. */
async function printed(instance: Instance, ...args: readonly string[]): Promise<string> {
  process.env['SMTPLB_ADMIN_TOKEN'] = TOKEN;
  const { exitCode, stdout, stderr } = await called(...args, '--admin', formatAddress(instance.admin));
  delete process.env['SMTPLB_ADMIN_TOKEN'];
  return `${exitCode} ${stdout}${stderr}`;
}

t.test(
  'a word to the cluster reaches every instance within a second, and those that start later',
  redis,
  async t => {
    const server = await startRedis(t);
    const backends = await Promise.all([1, 2].map(() => startScriptedBackend(t, smtp())));
    const [a, b] = [
      await edge(t, 'edge-1', server, backends),
      await edge(t, 'edge-2', server, backends),
    ] as const;
    await eventually('both', async () => (await status(a.admin)).cluster?.instances === 2);

    t.equal(
      await printed(a, 'drain', 'mx/b1', '--cluster'),
      '0 mx/b1 is in drain for all 2 instances of the cluster; 0 sessions are running there\n',
    );
    t.equal(await state(a, 'b1'), 'drain cluster');
    const tookMs = await soon(b, 'b1', 'drain cluster');
    t.comment(`the other instance knew ${tookMs | 0} ms after the command had ended`);
    t.ok(tookMs < SOON_MS);
    t.match(await printed(b, 'status'), /^0 edge-2 .*\nshards: .*\ncluster edge: 2 instances\n/);
    t.match(await printed(b, 'status'), /^mx\/b1 +\S+ +up drain \(cluster\) +0 +0 /m);

    t.match(
      (await tell(a, 'b2', 'weight', { weight: 7, cluster: true })).message,
      /^mx\/b2 has weight 7 for all 2/,
    );
    const late = await edge(t, 'edge-3', server, backends);
    t.equal(await state(late, 'b1'), 'drain cluster', 'it knew before it listened');
    const client = await connectClient(t, late.address());
    await client.expect(220);
    t.equal((await status(late.admin)).pools[0]?.backends[1]?.active, 1);
    t.match((await status(late.admin)).pools[0]?.backends[1], { weight: 7, weightScope: 'cluster' });

    // The later word holds: to one instance, and to all again.
    t.equal((await tell(b, 'b1', 'ready', {})).status, 200);
    t.equal(await state(b, 'b1'), 'ready instance');
    t.equal(await state(a, 'b1'), 'drain cluster');
    t.equal((await tell(late, 'b1', 'maint')).status, 200);
    for (const instance of [a, b]) await soon(instance, 'b1', 'maint cluster');
    t.equal((await tell(b, 'b1', 'drain', {})).status, 200);
    t.match((await tell(a, 'b1', 'ready')).message, /^mx\/b1 is ready for all 3 instances of the cluster/);
    for (const instance of [b, late]) await soon(instance, 'b1', 'ready cluster');

    t.match((await tell(a, 'b9', 'drain')).message, /^there is no backend mx\/b9/);
    t.equal((await tell(a, 'b1', 'drain', { cluster: 'yes' })).status, 400);

    // Redis forgets, the instances do not.
    t.equal((await tell(a, 'b1', 'drain')).status, 200);
    await soon(late, 'b1', 'drain cluster');
    await server.cli('flushall');
    await eventually('Redis to be told again', async () =>
      (await server.cli('keys', '*words')).includes('words'),
    );
    for (const instance of [a, b, late]) await soon(instance, 'b1', 'drain cluster');
    client.end();
  },
);

t.test('maint --end-sessions --cluster ends the sessions at all instances', redis, async t => {
  const server = await startRedis(t);
  const backends = [await startScriptedBackend(t, smtp())];
  const [a, b] = [
    await edge(t, 'edge-1', server, backends),
    await edge(t, 'edge-2', server, backends),
  ] as const;
  const clients = await Promise.all([a, a, b].map(instance => connectClient(t, instance.address())));
  for (const client of clients) await client.expect(220);
  await eventually(
    'b is seen',
    async () => (await status(a.admin)).pools[0]?.backends[0]?.activeElsewhere === 1,
  );
  t.match(
    await printed(a, 'maint', 'mx/b1', '--end-sessions', '--cluster'),
    /^0 mx\/b1 is in maint for all 2 instances of the cluster, 2 sessions were ended; 0 sessions are running there\n/,
  );
  for (const client of clients) await client.expectClosed('fin');
  t.match((await b.sessions(1))[0], { cause: 'maintenance' });
});

t.test('a word for a backend that an instance does not have waits until it has', redis, async t => {
  const server = await startRedis(t);
  const backends = await Promise.all([1, 2].map(() => startScriptedBackend(t, smtp())));
  const a = await edge(t, 'edge-1', server, backends);
  const settings = (of: readonly ScriptedBackend[]) => ({
    instance: 'edge-2',
    admin: { listen: '127.0.0.1:0', token: TOKEN },
    cluster: { name: 'edge', redis: `redis://127.0.0.1:${server.port}` },
    ...mx(of.map(({ address }) => formatAddress(address))),
  });
  const b = await startInstance(t, 'net', settings(backends.slice(0, 1)));
  t.equal((await tell(a, 'b2', 'drain')).status, 200);
  t.equal((await tell(a, 'b1', 'drain')).status, 200);
  await soon(b, 'b1', 'drain cluster');
  b.configure(settings(backends));
  t.equal((await b.server.reload()).ok, true);
  t.equal(await state(b, 'b2'), 'drain cluster');
});

t.test('the instances know of each other, and what is wrong among them', redis, async t => {
  const server = await startRedis(t);
  const backends = [await startScriptedBackend(t, smtp())];
  const a = await edge(t, 'edge-1', server, backends);
  const b = await edge(t, 'edge-2', server, backends, { balance: 'round-robin' });
  const document = await eventually('both', async () => {
    const found = await cluster(a);
    return found.instances.length === 2 && found.warnings.length > 0 ? found : undefined;
  });
  t.match(document, {
    name: 'edge',
    redis: { status: 'reachable', errors: 0 },
    instances: [
      {
        instance: 'edge-1',
        isSelf: true,
        state: 'running',
        generation: 1,
        shards: 1,
        transport: 'net',
        differences: [],
      },
      { instance: 'edge-2', isSelf: false, generation: 1, sessions: 0, differences: ['pool mx differs'] },
    ],
    warnings: ['the configuration of edge-2 is another one than here: pool mx differs'],
  });
  const text = await printed(a, 'status', '--cluster');
  t.match(text, /^0 cluster edge: Redis answers in \d+\.\d ms; 0 errors, 0 reconnects/);
  t.match(text, /^edge-1 \* +\S+ +running +\S+ +1 +this +1 net +0 +- +\d{4}-/m);
  t.match(text, /^edge-2 +\S+ +running +\S+ +1 +differs +1 net +0 +\d s ago +\d{4}-/m);
  t.match(text, /^! the configuration of edge-2 is another one than here: pool mx differs$/m);
  t.match(JSON.parse((await printed(a, 'status', '--cluster', '--json')).slice(2)), { name: 'edge' });
  t.match(await printed(a, 'status'), /^! the configuration of edge-2/m);
  t.match((await status(a.admin)).cluster, { name: 'edge', instances: 2, warnings: [/edge-2/] });
  const warnings = a.log.filter(({ level }) => level === 'warn').map(({ msg }) => `${msg}`);
  t.same(
    warnings.filter(msg => !/^the configuration of edge-2|may relay for anybody|identity/.test(msg)),
    [],
    'nothing else is wrong',
  );
  await a.logged('the warning', ({ msg }) => /^the configuration of edge-2 is another/.test(`${msg}`));

  await b.stop();
  await eventually('it has left', async () => (await cluster(a)).instances.length === 1);
  t.same((await cluster(a)).warnings, []);
});

t.test('without an answer of Redis nothing is said, and the instance says so', redis, async t => {
  const server = await startRedis(t);
  const backends = [await startScriptedBackend(t, smtp())];
  const a = await edge(t, 'edge-1', server, backends);
  await a.logged('redis', ({ msg }) => msg === 'redis is reachable');
  await eventually('itself', async () => (await cluster(a)).instances.length === 1);
  await server.process.stop();
  const refused = await tell(a, 'b1', 'drain');
  t.equal(refused.status, 409);
  t.match(
    refused.message,
    /^Redis did not take it \(.+\): the cluster may not have heard; without --cluster/,
  );
  t.equal(await state(a, 'b1'), 'ready null');
  t.match(
    await printed(a, 'status', '--cluster'),
    /^0 cluster edge: Redis is not reachable \(.+\); shown is what was seen last\n\n.*\nedge-1 \*/,
  );
  t.equal((await tell(a, 'b1', 'drain', {})).status, 200);
  t.equal(await state(a, 'b1'), 'drain instance');
});

t.test('an instance alone says so', async t => {
  const backend = await startScriptedBackend(t, smtp());
  const alone = await startInstance(t, 'net', {
    admin: { listen: '127.0.0.1:0', token: TOKEN },
    ...mx([formatAddress(backend.address)]),
  });
  t.match(
    await printed(alone, 'status', '--cluster'),
    /^0 cluster smtplb: no Redis is configured: this instance is alone\n\n.*\ntest \* /,
  );
  t.match(
    await printed(alone, 'drain', 'mx/b1', '--cluster'),
    /^1 smtplb: this instance is alone: no cluster\.redis is configured; say it without --cluster\n/,
  );
  t.equal((await status(alone.admin)).cluster, null);
});

t.test('an instance that starts does not wait for a Redis that is not there', async t => {
  const nobody = await freeAddress();
  const backend = await startScriptedBackend(t, smtp());
  const instance = await startInstance(t, 'net', {
    cluster: { redis: `redis://${formatAddress(nobody)}` },
    ...mx([formatAddress(backend.address)]),
  });
  const client = await connectClient(t, instance.address());
  await client.expect(220);
  client.end();
});
