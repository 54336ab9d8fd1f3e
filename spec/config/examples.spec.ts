import { readdir, readFile } from 'node:fs/promises';
import t from 'tap';
import { loadConfigFile } from '../../lib/config/load.ts';
import { warnings } from '../../lib/config/warnings.ts';

const env = {
  SMTPLB_ADMIN_TOKEN: 'a-token-of-some-length',
  SMTPLB_INSTANCE: 'edge-1',
  SMTPLB_REDIS_PASSWORD: 'opensesame',
};

t.test('every example is accepted', async t => {
  const files = (await readdir('examples')).filter(file => file.endsWith('.yaml'));
  t.ok(files.length >= 3);
  for (const file of files) {
    const loaded = await loadConfigFile(`examples/${file}`, env);
    t.same(loaded.ok ? [] : loaded.faults, [], file);
  }
});

t.test('the examples for starting out need nothing that is not there yet, and warn of nothing', async t => {
  for (const file of ['examples/quick-start.yaml', 'examples/postfix.yaml', 'examples/cluster.yaml']) {
    const loaded = await loadConfigFile(file, file.endsWith('cluster.yaml') ? env : {});
    t.ok(loaded.ok, file);
    if (!loaded.ok) continue;
    t.same(warnings(loaded.config), [], file);
  }
});

t.test('the full example means what it says', async t => {
  const loaded = await loadConfigFile('examples/full.yaml', env);
  t.ok(loaded.ok);
  if (!loaded.ok) return;
  t.match(loaded.config, {
    instance: 'edge-1',
    log: { level: 'info', access: true },
    admin: {
      listen: { family: 'ipv4', host: '127.0.0.1', port: 8404 },
      token: env.SMTPLB_ADMIN_TOKEN,
      socket: '/run/smtplb/admin.sock',
      maxConnections: 64,
    },
    cluster: { name: 'mail-edge', redis: { kind: 'url', url: 'redis://127.0.0.1:6379/0' } },
    shards: 1,
    transport: 'auto',
    drainTimeoutMs: 300_000,
    listeners: [
      {
        name: 'mx',
        listen: [
          { family: 'ipv4', host: '0.0.0.0', port: 25 },
          { family: 'ipv6', host: '::', port: 25 },
        ],
        pool: 'mx',
        backlog: 4096,
        proxyProtocol: { from: [{ family: 'ipv4', host: '10.0.0.0', prefix: 8 }] },
        clients: { allow: [], deny: [{ family: 'ipv4', host: '192.0.2.0', prefix: 24 }] },
        limits: {
          connections: 5000,
          perClient: { connections: 20, rate: { count: 60, perMs: 60_000 }, ipv6Prefix: 64 },
        },
        tls: { mode: 'passthrough', required: false, certificates: [] },
        timeouts: { proxyHeaderMs: 5000, handshakeMs: 300_000, idleMs: 600_000 },
      },
      {
        name: 'submission',
        tls: {
          mode: 'starttls',
          required: true,
          certificates: [{ cert: '/etc/smtplb/mail.pem', key: '/etc/smtplb/mail.key' }],
        },
      },
    ],
    pools: [
      {
        name: 'mx',
        balance: 'least-connections',
        sticky: { by: 'client-address', ttlMs: 1_800_000 },
        identity: 'proxy-v2',
        connect: { timeoutMs: 5000, greetingTimeoutMs: 30_000, attempts: 3, retryOnGreeting: [] },
        queue: { size: 1000, timeoutMs: 10_000 },
        check: {
          type: 'smtp',
          intervalMs: 5000,
          timeoutMs: 5000,
          rise: 2,
          fall: 3,
          helo: 'probe.example.net',
        },
        passiveHealth: { failures: 3, pauseMs: 1000, maxPauseMs: 30_000 },
        slowStartMs: 30_000,
        tls: { mode: 'none', verify: true },
        backends: [
          { name: 'mx1', weight: 2, maxConnections: { count: 500, scope: 'instance' }, backup: false },
          { name: 'mx2', weight: 1, maxConnections: undefined, backup: false },
          { name: 'spare', address: { family: 'ipv4', host: '10.0.1.9', port: 25 }, backup: true },
        ],
      },
      {
        name: 'submission',
        sticky: undefined,
        identity: 'none',
        tls: { mode: 'starttls', verify: true },
        backends: [{ name: '10.0.0.21:587' }],
      },
    ],
  });
});

t.test('the full example needs nothing that is not there yet, and is found again key by key', async t => {
  const loaded = await loadConfigFile('examples/full.yaml', env);
  t.ok(loaded.ok);
  if (!loaded.ok) return;
  const lines = (await readFile('examples/full.yaml', 'utf8')).split('\n');
  for (const path of ['listeners[1].tls.mode', 'pools[0].sticky']) {
    const { line, column } = loaded.locate(path);
    const key = path.slice(path.lastIndexOf('.') + 1);
    t.ok(lines[line - 1]?.slice(column - 1).startsWith(`${key}:`), `${path} is written at ${line}:${column}`);
  }
  t.same(loaded.locate('pools[1].identity'), loaded.locate('pools[1]'), 'a default is where its parent is');
  t.match(warnings(loaded.config), [{ path: 'pools[1].identity', text: /open relay .* submission;/ }]);
});
