/** docs/cluster.md, "The Redis user": instances run as it, and it has no right that nobody uses. */

import { readdirSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { packageRoot } from '../../lib/core/package.ts';
import { post, status } from '../support/admin-api.ts';
import { eventually } from '../support/eventually.ts';
import { mx, startInstance } from '../support/instance.ts';
import { page } from '../support/markdown.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { type RedisServer, startRedis, startRedisCluster } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const redis = needs('redis-server', 'redis-cli');
const TOKEN = 'a-token';
const PASSWORD = 'not-to-be-guessed';
const CLUSTER = new URL('lib/cluster/', packageRoot);

const [, section = ''] = page('cluster.md').split('## The Redis user');
const [, command = ''] = /```\nACL (SETUSER smtplb [^`]*)```/.exec(section) ?? [];
const words = command.replace('PASSWORD', PASSWORD).trim().split(/\s+/);
const commands = words.filter(word => word.startsWith('+')).map(word => word.slice(1));
const more = (what: RegExp) =>
  [...(what.exec(section)?.[1] ?? '').matchAll(/\+[a-z|]+/g)].map(([word]) => word);

/** What the scripts call, and what is sent without a script. */
function written(): string[] {
  const files = readdirSync(CLUSTER).map(
    file => [file, readFileSync(new URL(file, CLUSTER), 'utf8')] as const,
  );
  const found = files.flatMap(([file, text]) =>
    file.endsWith('.lua')
      ? [...text.matchAll(/redis\.p?call\(\s*'([A-Za-z]+)'/g)]
      : [...text.matchAll(/\bclient\.(?!on\b|connect\b|disconnect\b|status\b)([a-z]+)\(/g)],
  );
  // The client asks whether Redis has loaded its data.
  return [...new Set([...found.map(([, name = '']) => name.toLowerCase()), 'info'])].sort();
}

function startEdge(owner: Owner, name: string, redis: unknown, backend: string) {
  return startInstance(owner, 'net', {
    instance: name,
    admin: { listen: '127.0.0.1:0', token: TOKEN },
    cluster: { name: 'mail-edge', redis },
    // Slots of a new Redis are granted after a while; the second backend only asks for some.
    ...mx([backend, { address: backend, backup: true, maxConnections: { count: 10, scope: 'cluster' } }]),
  });
}

/** All that instances do with Redis, but for what only odd values in it lead to. */
async function exercise(owner: Test, settings: unknown): Promise<void> {
  const { address } = await startScriptedBackend(owner, smtp());
  const a = await startEdge(owner, 'edge-1', settings, formatAddress(address));
  const b = await startEdge(owner, 'edge-2', settings, formatAddress(address));
  const client = await connectClient(owner, a.address());
  await client.expect(220);
  await eventually('each to know of the other', async () => {
    const [mine, theirs] = [await status(a.admin), await status(b.admin)];
    return mine.cluster?.instances === 2 && theirs.pools[0]?.backends[0]?.activeElsewhere === 1;
  });
  const said = await post(a.admin, 'pools/mx/backends/b1/drain', { cluster: true }, { token: TOKEN });
  owner.equal(said.status, 200, said.message);
  await eventually('the word', async () => (await status(b.admin)).pools[0]?.backends[0]?.admin === 'drain');
  // As after a kill: the earlier run of the same name is put away.
  const again = await startEdge(owner, 'edge-1', settings, formatAddress(address));
  await again.logged(
    'the earlier run',
    ({ msg }) => msg === 'an earlier run of this instance has been forgotten',
  );
  client.end();
  for (const instance of [again, b, a]) await instance.stop();
}

const denied = (server: RedisServer) => server.cli('acl', 'log');

t.test('the list is what the program sends, and nothing else', async t => {
  t.ok(commands.length > 15, `${commands.length} commands`);
  t.same([...commands].sort(), written());
  t.same(words.slice(0, 5), ['SETUSER', 'smtplb', 'reset', 'on', `>${PASSWORD}`]);
});

t.test('instances run as that user, and never ask for more', redis, async t => {
  const server = await startRedis(t);
  await server.cli('acl', ...words);
  await server.cli('config', 'resetstat');
  await exercise(t, `redis://smtplb:${PASSWORD}@127.0.0.1:${server.port}`);
  t.equal(await denied(server), '', 'nothing was refused');
  const used = [...(await server.cli('info', 'commandstats')).matchAll(/cmdstat_([a-z|]+):/g)].map(
    ([, name]) => name,
  );
  t.same(
    used.filter(name => !commands.includes(name ?? '')).sort(),
    ['acl|log', 'config|resetstat', 'hello'],
    'the first two are ours, and hello is free',
  );
  const stranger = await server.cli(
    '--user',
    'smtplb',
    '--pass',
    PASSWORD,
    '--no-auth-warning',
    'get',
    'mail',
  );
  t.match(stranger, /NOPERM/, 'other keys and commands are not for it');
  t.match(
    await server.cli(
      '--user',
      'smtplb',
      '--pass',
      PASSWORD,
      '--no-auth-warning',
      'hget',
      'smtplb:{other}:counts',
      'x',
    ),
    /NOPERM/,
    'nor another cluster',
  );

  const usedByInstances = commands.filter(name => used.includes(name));
  t.comment(`${usedByInstances.length} of ${commands.length} commands were used; the rest is for odd values`);
  t.ok(usedByInstances.length > 15);
});

t.test('one right less is noticed', redis, async t => {
  const server = await startRedis(t);
  await server.cli('acl', ...words, '-hset');
  const { address } = await startScriptedBackend(t, smtp());
  const settings = `redis://smtplb:${PASSWORD}@127.0.0.1:${server.port}`;
  const instance = await startEdge(t, 'edge-1', settings, formatAddress(address));
  const line = await instance.logged(
    'the refusal',
    ({ event, msg }) => event === 'redis' && /not reachable/.test(`${msg}`),
  );
  t.match(line['msg'], /^redis is not reachable: .*(NOPERM|can't run this command|hset)/i);
  t.notMatch(JSON.stringify(instance.log), PASSWORD);
  t.match(await denied(server), /\nhset\n/);
  const client = await connectClient(t, instance.address());
  await client.expect(220);
  client.end();
});

t.test('the same in a Redis Cluster, with what the page adds for it', redis, async t => {
  const { nodes } = await startRedisCluster(t);
  const added = more(/^- Redis Cluster: (.*)$/m);
  t.ok(added.length > 0);
  for (const node of nodes) await node.cli('acl', ...words, ...added);
  const cluster = nodes.map(({ port }) => `127.0.0.1:${port}`);
  await exercise(t, { cluster, username: 'smtplb', password: PASSWORD });
  for (const node of nodes) t.equal(await denied(node), '', 'nothing was refused');
});

t.test('and with a database of its own', redis, async t => {
  const server = await startRedis(t);
  const added = more(/^- a database other than 0[^:]*: (.*)$/m);
  await server.cli('acl', ...words, ...added);
  await exercise(t, `redis://smtplb:${PASSWORD}@127.0.0.1:${server.port}/3`);
  t.equal(await denied(server), '', 'nothing was refused');
});
