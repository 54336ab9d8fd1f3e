import t from 'tap';
import { ipAddress } from '../../lib/core/address.ts';
import { openBoard } from '../../lib/core/board.ts';
import { FAULT_CODES } from '../../lib/core/fault.ts';
import { openShardStats, terminationColumn } from '../../lib/core/shard-stats.ts';
import { CAUSE_NAMES, PHASE_NAMES } from '../../lib/core/termination.ts';
import { createCheckCounter } from '../../lib/health/results.ts';
import type { CheckSource } from '../../lib/metrics/checks.ts';
import type { ClusterSource } from '../../lib/metrics/cluster.ts';
import { createMetrics } from '../../lib/metrics/metrics.ts';
import type { ShardSnapshot } from '../../lib/shard/snapshot.ts';
import { backend, pool } from '../balancer/pools.ts';
import { page, tableUnder } from '../support/markdown.ts';
import { type Metrics, parseMetrics } from '../support/metrics.ts';

const TLS = {
  mode: 'starttls',
  verify: true,
  ca: null,
  fingerprints: [],
  certificate: null,
  minVersion: '1.2',
} as const;

/** An instance with one listener and one pool of two backends, whose numbers a test writes. */
function instance({ listener = 'mx', pool: poolName = 'mx', backends = ['a', 'b'], shards = 1 } = {}) {
  const board = openBoard();
  const stats = Array.from({ length: shards }, () => openShardStats());
  const address = ipAddress('127.0.0.1', 0);
  if (address === undefined) throw new Error('no address');
  const snapshot: ShardSnapshot = {
    hostName: 'lb.example',
    records: true,
    listeners: [
      {
        row: 2,
        name: listener,
        addresses: [address],
        backlog: 1,
        pool: poolName,
        proxyFrom: [],
        tls: {
          mode: 'starttls',
          required: false,
          certificates: [],
          minVersion: '1.2',
          ciphers: null,
          clientCertificates: null,
          ticketKeys: [],
        },
        routing: { routes: [], capabilities: [] },
        admission: {
          allow: [],
          deny: [],
          connections: 1,
          perClient: { connections: 1, rate: null, ipv6Prefix: 64 },
        },
        timeouts: { proxyHeaderMs: 1, handshakeMs: 1, idleMs: 1 },
      },
    ],
    pools: [
      pool(
        backends.map((name, at) => backend(5 + at, { name })),
        {
          row: 3,
          name: poolName,
          sticky: STICKY,
          identity: 'xclient',
          tls: TLS,
          warm: { size: 2, maxAgeMs: 1_000 },
        },
      ),
    ],
  };
  const metrics = createMetrics({
    version: '1.2.3',
    board,
    shards: stats,
    shardStates: () => [
      { shard: 0, transport: 'net', state: 'running', sessions: 0, restarts: 0, silentMs: 50 },
    ],
    snapshot: () => snapshot,
    generation: () => 4,
    reloads: () => ({ ok: 3, failed: 1 }),
    droppedLogLines: () => 5,
    nowMs: () => 1_000,
    checks: checkSource(poolName, backends[0] ?? ''),
    cluster: CLUSTER,
    clusterWarnings: () => 2,
    ticketKeys: () => ({ changes: 3, isShared: true }),
    certificates: () => [{ path: '/etc/smtplb/mx.pem', expiresAtMs: Date.now() + 86_400_000 }],
  });
  return { board, stats, snapshot, scrape: async () => parseMetrics(await metrics.scrape()) };
}

const CLUSTER: ClusterSource = {
  state: () => ({
    redis: { status: 'reachable', reason: null, roundTripMs: 2, errors: 3, reconnects: 1 },
    instances: 4,
    nonsense: 0,
    ageMs: 150,
  }),
  othersAt: (_, backend) => (backend === 'a' ? 20 : null),
  leases: { grantAt: (_, backend) => (backend === 'a' ? 40 : null), hitsAt: () => 6 },
};

const STICKY = {
  by: 'client-address',
  ttlMs: 1,
  timeoutMs: 1,
  ipv4Prefix: 24,
  ipv6Prefix: 64,
} as const;

/** One checked backend, with a certificate. */
function checkSource(poolName: string, name: string): CheckSource {
  const counter = createCheckCounter();
  counter.count('ok', 12);
  const named = { pool: poolName, backend: name };
  const found = {
    outcome: 'ok',
    detail: '',
    durationMs: 12,
    consecutive: 1,
    certificateDaysLeft: 30,
    checkers: null,
    isCheckedHere: true,
  } as const;
  return {
    all: () => [{ ...named, ...found, health: 'up', checked: true, atMs: 1, sinceMs: 1 }],
    results: () => [{ ...named, ...counter.read() }],
  };
}

/** What the page says of its own families, by name. */
function families({ text }: Metrics): Map<string, string> {
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(
    ([, name = '', type = '']) => [name, type] as const,
  );
  return new Map(types.filter(([name]) => name.startsWith('smtplb_')));
}

/** Something in every metric that only shows what has happened. */
async function busy() {
  const made = instance();
  const [stats] = made.stats as [(typeof made.stats)[number]];
  for (const histogram of [stats.connectSeconds, stats.greetingSeconds, stats.queueSeconds])
    histogram.observe(3, 0.3);
  stats.sessionSeconds.observe(2, 3);
  stats.loopLagSeconds.observe(0, 0.001);
  for (const cause of CAUSE_NAMES)
    for (const phase of PHASE_NAMES) stats.listeners.add(2, terminationColumn(cause, phase));
  return { ...made, scraped: await made.scrape() };
}

t.test('every metric is documented, with its type and labels, and every documented one is there', async t => {
  const { scraped } = await busy();
  const labelsOf = (name: string, type: string) => {
    const [sample] = scraped.samples.get(type === 'histogram' ? `${name}_sum` : name) ?? [];
    return [...(sample?.labels.keys() ?? [])].sort().join(' ');
  };
  const exposed = [...families(scraped)].map(([name, type]) => [name, type, labelsOf(name, type)]);
  const documented = tableUnder(page('metrics.md'), 'What smtplb counts').map(([name, type, labels = '']) => [
    name,
    type,
    [...labels.matchAll(/\w+/g)].map(String).sort().join(' '),
  ]);
  const byName = (a: readonly unknown[], b: readonly unknown[]) => String(a[0]).localeCompare(String(b[0]));
  t.strictSame([...documented].sort(byName), exposed.sort(byName));
  t.ok(exposed.length > 20);
});

t.test('what the documentation tells to alert on exists', async t => {
  const { scraped } = await busy();
  const text = page('metrics.md').split('## What to alert on')[1] ?? '';
  const names = [...text.matchAll(/smtplb_\w+/g)].map(String);
  t.ok(names.length > 5);
  for (const name of new Set(names)) t.ok(scraped.samples.has(name), name);
  const causes = [...text.matchAll(/cause=~?"([^"]+)"/g)].flatMap(([, list = '']) => list.split('\\|'));
  t.ok(causes.length > 5);
  for (const cause of causes)
    t.ok(
      CAUSE_NAMES.some(name => new RegExp(`^(?:${cause})$`).test(name)),
      cause,
    );
});

t.test('each number is read where it is kept, and shards are added up', async t => {
  const { board, stats, scrape } = instance({ shards: 3 });
  for (const [at, shard] of stats.entries()) {
    shard.listeners.add(2, 'accepted', 1 + at);
    shard.listeners.add(2, 'bytesFromClients', 2 ** 40);
    shard.listeners.add(2, 'starttlsOffered', 2);
    shard.listeners.add(2, 'normal/relaying', 10);
    shard.listeners.add(2, 'backend-timeout/connecting', 1);
    shard.pools.add(3, 'retry/refused', 2);
    shard.backends.add(5, 'picks', 7);
    shard.backends.add(6, 'bad-greeting', 3);
    shard.backends.add(6, 'ejections', 1);
    shard.backends.add(5, 'warm/taken', 2);
  }
  board.listenerSessions[2] = 11;
  board.poolQueued[3] = 12;
  board.backendSlots[5] = 13;
  board.backendWarmReady[5] = 4;
  board.backendFailures[6] = 14;
  board.backendRetryAtMs[6] = 2_000;
  const scraped = await scrape();
  const value = (name: string, labels = {}) => scraped.value(name, labels);
  t.equal(value('smtplb_build_info', { version: '1.2.3', node: process.version }), 1);
  t.equal(value('smtplb_config_generation'), 4);
  t.equal(value('smtplb_log_lines_dropped_total'), 5);
  t.equal(value('smtplb_sessions_accepted_total', { listener: 'mx' }), 6);
  t.equal(value('smtplb_bytes_total', { listener: 'mx', from: 'client' }), 3 * 2 ** 40);
  t.equal(value('smtplb_bytes_total', { listener: 'mx', from: 'backend' }), 0);
  t.equal(value('smtplb_starttls_offered_total', { listener: 'mx' }), 6);
  t.equal(value('smtplb_starttls_used_total', { listener: 'mx' }), 0);
  t.equal(value('smtplb_sessions_total', { cause: 'normal', phase: 'relaying' }), 30);
  t.equal(value('smtplb_sessions_total', { cause: 'backend-timeout', phase: 'connecting' }), 3);
  t.equal(scraped.samples.get('smtplb_sessions_total')?.length, 2, 'only what has happened');
  t.equal(value('smtplb_sessions_active', { listener: 'mx' }), 11);
  t.equal(value('smtplb_queue_length', { pool: 'mx' }), 12);
  t.equal(value('smtplb_retries_total', { pool: 'mx', reason: 'refused' }), 6);
  t.equal(
    scraped.samples.get('smtplb_retries_total')?.length,
    FAULT_CODES.length,
    'each reason, from the start',
  );
  t.equal(value('smtplb_picks_total', { pool: 'mx', backend: 'a' }), 21);
  t.equal(value('smtplb_backend_sessions_active', { backend: 'a' }), 13);
  t.equal(value('smtplb_backend_warm_connections', { backend: 'a' }), 4);
  t.equal(value('smtplb_backend_warm_total', { backend: 'a', result: 'taken' }), 6);
  t.equal(value('smtplb_backend_failures_total', { backend: 'b', reason: 'bad-greeting' }), 9);
  t.equal(value('smtplb_backend_ejections_total', { backend: 'b' }), 3);
  t.equal(value('smtplb_backend_failures_in_a_row', { backend: 'b' }), 14);
  t.strictSame(
    [value('smtplb_backend_ejected', { backend: 'a' }), value('smtplb_backend_ejected', { backend: 'b' })],
    [0, 1],
  );
  t.equal(value('smtplb_backend_up', { backend: 'a' }), 1);
  t.equal(value('smtplb_backend_ready', { backend: 'a' }), 1);
  t.equal(value('smtplb_redis_up'), 1);
  t.equal(value('smtplb_redis_errors_total'), 3);
  t.equal(value('smtplb_redis_round_trip_seconds'), 0.002);
  t.equal(value('smtplb_cluster_instances'), 4);
  t.equal(value('smtplb_cluster_warnings'), 2);
  t.equal(value('smtplb_cluster_lag_seconds'), 0.15);
  t.equal(value('smtplb_cluster_backend_sessions_active', { backend: 'a' }), 33, "own and the others'");
  t.equal(value('smtplb_cluster_backend_sessions_active', { backend: 'b' }), undefined, 'not known');
  t.equal(value('smtplb_backend_granted_slots', { backend: 'a' }), 40);
  t.equal(value('smtplb_backend_grant_exhausted_total', { backend: 'a' }), 6);
  t.equal(value('smtplb_backend_granted_slots', { backend: 'b' }), undefined, 'not limited');
});

t.test('a histogram is cumulative, and its count, sum and buckets agree', async t => {
  const { stats, scrape } = instance({ shards: 2 });
  const values = [0.0001, 0.0005, 0.3, 0.3, 7, 1_000];
  for (const shard of stats) for (const value of values) shard.connectSeconds.observe(3, value);
  const scraped = await scrape();
  const buckets = scraped.samples.get('smtplb_connect_duration_seconds_bucket') ?? [];
  const bound = (text = '') => (text === '+Inf' ? Number.POSITIVE_INFINITY : Number(text));
  t.ok(buckets.length > 10);
  for (const [at, { labels, value }] of buckets.entries()) {
    const le = bound(labels.get('le'));
    t.equal(value, 2 * values.filter(one => one <= le).length, `le=${le}`);
    t.ok(value >= (buckets[at - 1]?.value ?? 0));
  }
  t.equal(bound(buckets.at(-1)?.labels.get('le')), Number.POSITIVE_INFINITY);
  t.equal(scraped.value('smtplb_connect_duration_seconds_count', { pool: 'mx' }), 12);
  t.ok(
    Math.abs(
      (scraped.value('smtplb_connect_duration_seconds_sum') ?? 0) - 2 * values.reduce((a, b) => a + b, 0),
    ) < 1e-6,
  );
  const again = await scrape();
  t.equal(
    again.value('smtplb_connect_duration_seconds_count', { pool: 'mx' }),
    12,
    'a scrape changes nothing',
  );
});

t.test('two scrapes at once are both whole', async t => {
  const { stats, scrape } = instance();
  stats[0]?.listeners.add(2, 'accepted', 9);
  for (const scraped of await Promise.all([scrape(), scrape(), scrape()]))
    t.equal(scraped.value('smtplb_sessions_accepted_total', { listener: 'mx' }), 9);
});

t.test('whatever a listener, pool or backend is called, the text stays well-formed', async t => {
  // Configured names have no such characters; should that ever change, a name must not become a line of its own.
  const hostile = 'a"} 1\nsmtplb_up{x="\\';
  const { scrape } = instance({ listener: hostile, pool: '__proto__', backends: ['constructor', 'é\t'] });
  const scraped = await scrape();
  t.equal(scraped.value('smtplb_sessions_accepted_total', { listener: hostile }), 0);
  t.equal(scraped.value('smtplb_backend_up', { pool: '__proto__', backend: 'constructor' }), 1);
  t.notOk(scraped.samples.has('smtplb_up'));
});

t.test('series are as many as the configuration says, however many clients there were', async t => {
  const count = ({ samples }: Metrics) =>
    [...samples]
      .filter(([name]) => name.startsWith('smtplb_'))
      .reduce((sum, [, each]) => sum + each.length, 0);
  const { stats, scrape } = instance();
  const before = count(await scrape());
  for (let at = 0; at < 1_000; at++) stats[0]?.listeners.add(2, 'normal/relaying');
  t.equal(count(await scrape()), before);
  t.ok(before < 280, `${before} series`);
});
