import type { Socket } from 'node:net';
import { join } from 'node:path';
import { Cluster, Redis } from 'ioredis';
import t from 'tap';
import { createClient, reconnectPauseMs } from '../../lib/cluster/connect.ts';
import { openLink } from '../../lib/cluster/link.ts';
import type { RedisConfig } from '../../lib/config/config.ts';
import { eventually } from '../support/eventually.ts';
import { refusingAddress } from '../support/free-port.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { run } from '../support/processes.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { redisUrl, startRedis, startRedisCluster, startSentinelSet } from '../support/redis.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const redis = needs('redis-server', 'redis-cli');

function opened(owner: Owner, config: RedisConfig) {
  const log = recordedLog();
  const link = openLink(config, log);
  owner.teardown(() => link.close());
  const answers = () => eventually('an answer', async () => (await link.ask(c => c.get('k'))) !== undefined);
  return { link, log, answers };
}

t.test('a URL, Sentinels and a Redis Cluster are all ways to Redis', redis, async t => {
  const alone = await startRedis(t);
  const { config: sentinels } = await startSentinelSet(t);
  const { config: cluster } = await startRedisCluster(t);
  for (const config of [redisUrl(alone.port), sentinels, cluster]) {
    const { link, log, answers } = opened(t, config);
    await answers();
    t.equal(await link.ask(client => client.set('{x}a', '1')), 'OK', config.kind);
    t.equal(link.state().status, 'reachable');
    t.match(log.lines.at(-1), /redis is reachable/);
  }
});

t.test('user and password, from the URL or beside it, are never logged', redis, async t => {
  const { port, cli } = await startRedis(t);
  await cli('acl', 'setuser', 'mail', 'on', '>opensesame', '~*', '+@all');
  await cli('acl', 'setuser', 'default', 'off');
  const inUrl = redisUrl(port, { url: `redis://mail:opensesame@127.0.0.1:${port}/3` });
  const beside = redisUrl(port, { username: 'mail', password: 'opensesame' });
  for (const config of [inUrl, beside]) await opened(t, config).answers();
  const wrong = opened(t, redisUrl(port, { username: 'mail', password: 'sesame-open' }));
  await eventually('a refusal', async () => {
    await wrong.link.ask(client => client.get('k'));
    return wrong.link.state().reason?.includes('WRONGPASS');
  });
  t.equal(wrong.log.lines.length, 1, 'one line');
  t.notMatch(wrong.log.lines.join(), /sesame/);
});

t.test('TLS is checked: the authority and the name', needs('redis-server', 'openssl'), async t => {
  const home = await temporaryDirectory(t);
  const [key, cert] = [join(home, 'key.pem'), join(home, 'cert.pem')];
  const subject = ['-subj', '/CN=redis.example.net', '-addext', 'subjectAltName=DNS:redis.example.net'];
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject];
  t.equal((await run(t, 'openssl', args)).exitCode, 0);
  const tlsArgs = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert];
  const { port } = await startRedis(t, { args: ['--tls-auth-clients', 'no', ...tlsArgs] }).then(
    async plain => {
      await plain.cli('config', 'set', 'port', '0', 'tls-port', String(plain.port));
      return plain;
    },
  );
  const url = `rediss://127.0.0.1:${port}`;
  const tls = { ca: cert, cert: undefined, key: undefined, verify: true, serverName: 'redis.example.net' };
  await opened(t, redisUrl(port, { url, tls })).answers();
  await opened(t, redisUrl(port, { url, tls: { ...tls, ca: undefined, verify: false } })).answers();
  for (const [why, bad] of [
    [/self.signed/, { ...tls, ca: undefined }],
    [/does not match/, { ...tls, serverName: 'other.example.net' }],
  ] as const) {
    const { link } = opened(t, redisUrl(port, { url, tls: bad }));
    await eventually(`a refusal: ${why}`, async () => {
      await link.ask(client => client.get('k'));
      return why.test(link.state().reason ?? '');
    });
    t.equal(link.state().status, 'unreachable');
  }
  t.throws(
    () => openLink(redisUrl(port, { tls: { ...tls, ca: join(home, 'missing.pem') } }), recordedLog()),
    /missing\.pem, for TLS towards Redis, cannot be read \(ENOENT\)/,
  );
});

t.test('an alert behind an error is heard, and ends nothing', redis, async t => {
  const alone = await startRedis(t);
  const { config: cluster } = await startRedisCluster(t);
  const { config: sentinels } = await startSentinelSet(t);
  /** What the library makes for itself, as to Sentinels. */
  const ofTheLibrary = () => new Redis({ port: alone.port, lazyConnect: true });
  for (const [what, makeClient] of [
    ['by address', () => createClient(redisUrl(alone.port))],
    ['of a cluster', () => createClient(cluster)],
    ['by Sentinels', () => createClient(sentinels)],
    ['of its own', ofTheLibrary],
  ] as const) {
    const client = makeClient();
    t.teardown(() => client.disconnect());
    client.on('error', () => {});
    await client.connect();
    const nodes = (client instanceof Cluster ? client.nodes() : [client]) as unknown as { stream?: Socket }[];
    const streams = nodes.flatMap(({ stream }) => stream ?? []);
    t.ok(streams.length > 0);
    for (const stream of streams) {
      // As Node does where a certificate was not trusted and the other side then complains of the end.
      stream.destroy(new Error('not to be trusted'));
      await new Promise(resolve => stream.once('close', resolve));
      stream.emit('error', new Error('alert decode error'));
    }
    t.pass(what);
  }
});

t.test(
  'nothing there: commands fail at once, one line says why, and it comes back by itself',
  redis,
  async t => {
    const { host, port } = await refusingAddress();
    const nobody = opened(t, redisUrl(port, { url: `redis://${host}:${port}` }));
    await eventually('the reason', async () => {
      await nobody.link.ask(client => client.get('k'));
      return nobody.link.state().reason?.includes('ECONNREFUSED');
    });
    t.equal(nobody.log.lines.length, 1);

    const server = await startRedis(t);
    const { link, log, answers } = opened(t, redisUrl(server.port));
    await answers();
    await server.process.stop();
    await eventually('it to be noticed', async () => {
      await link.ask(client => client.get('k'));
      return link.state().status === 'unreachable' && link.state().errors > 5;
    });
    await server.again();
    await answers();
    t.strictSame(
      log.lines.map(line => line.replace(/:? not reachable: .*/, ' not reachable')),
      ['info: redis is reachable', 'warn: redis is not reachable', 'info: redis is reachable'],
      'one line a change',
    );
    t.ok(link.state().reconnects >= 1);
  },
);

t.test('pauses grow to a cap and differ by chance', async t => {
  for (const times of [1, 5, 50, 5_000]) {
    const pauses = Array.from({ length: 200 }, () => reconnectPauseMs(times));
    t.ok(pauses.every(ms => ms >= 25 && ms <= 2_000) && new Set(pauses).size > 5, `attempt ${times}`);
  }
});
