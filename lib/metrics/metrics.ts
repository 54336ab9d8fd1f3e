import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Board } from '../core/board.ts';
import { FAULT_CODES } from '../core/fault.ts';
import { PREPARATION_COLUMNS, type ShardStats } from '../core/shard-stats.ts';
import { standing } from '../pool/passive-health.ts';
import type { BackendSnapshot, PoolSnapshot } from '../pool/snapshot.ts';
import type { ShardState } from '../shard/data-plane.ts';
import type { ShardSnapshot } from '../shard/snapshot.ts';
import { type CheckSource, checks } from './checks.ts';
import { type ClusterSource, cluster } from './cluster.ts';
import { routing } from './routing.ts';
import { histogram, type Sample, ScrapedHistogram, scrapedCounter, scrapedGauge, sum } from './samples.ts';
import { sticky } from './sticky.ts';
import { terminations } from './terminations.ts';
import { type TlsSource, tls } from './tls.ts';
import { warm } from './warm.ts';

export interface MetricsSources {
  readonly version: string;
  readonly board: Board;
  /** One a shard. */
  readonly shards: readonly ShardStats[];
  readonly shardStates: () => readonly ShardState[];
  /** What runs now; labels come from it and from nowhere else. */
  readonly snapshot: () => ShardSnapshot;
  /** How often a configuration has been put into use. */
  readonly generation: () => number;
  readonly reloads: () => { readonly ok: number; readonly failed: number };
  readonly droppedLogLines: () => number;
  readonly nowMs: () => number;
  readonly checks: CheckSource;
  /** Null where the configuration names no Redis. */
  readonly cluster: ClusterSource | null;
  /** What is wrong among the instances of the cluster. */
  readonly clusterWarnings: () => number;
  readonly certificates: TlsSource['certificates'];
  readonly ticketKeys: TlsSource['ticketKeys'];
}

export interface Metrics {
  readonly contentType: string;
  /** The text of a scrape. Reads shared memory; no shard notices. */
  scrape(): Promise<string>;
}

/** Milliseconds between two looks at the control plane's event loop: each is a wake-up of an idle process. */
const LOOP_SAMPLE_MS = 100;

/** All metrics of an instance, prefix `smtplb_`, and the process's own as prom-client names them. */
export function createMetrics(sources: MetricsSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_SAMPLE_MS });
  instance(registry, sources);
  listeners(registry, sources);
  pools(registry, sources);
  sticky(registry, sources);
  backends(registry, sources);
  warm(registry, sources);
  checks(registry, sources.checks);
  tls(registry, sources);
  routing(registry, sources);
  const { board, snapshot } = sources;
  if (sources.cluster !== null) {
    cluster(registry, {
      cluster: sources.cluster,
      warnings: sources.clusterWarnings,
      pools: () => snapshot().pools,
      ownAt: ({ row }) => Atomics.load(board.backendSlots, row),
    });
  }
  return { contentType: registry.contentType, scrape: () => registry.metrics() };
}

function instance(
  registry: Registry,
  { version, generation, reloads, droppedLogLines, shards, shardStates }: MetricsSources,
): void {
  const one = (name: string, help: string, read: () => number) =>
    scrapedGauge(registry, { name, help, labels: [] }, () => [{ labels: {}, value: read() }]);
  scrapedGauge(
    registry,
    { name: 'smtplb_build_info', help: 'Always 1; the version is a label.', labels: ['version', 'node'] },
    () => [{ labels: { version, node: process.version }, value: 1 }],
  );
  one('smtplb_config_generation', 'How often a configuration has been put into use.', generation);
  scrapedCounter(
    registry,
    { name: 'smtplb_reloads_total', help: 'Reloads, by result.', labels: ['result'] },
    () => Object.entries(reloads()).map(([result, value]) => ({ labels: { result }, value })),
  );
  scrapedCounter(
    registry,
    {
      name: 'smtplb_log_lines_dropped_total',
      help: 'Log lines thrown away, the reader being slow.',
      labels: [],
    },
    () => [{ labels: {}, value: droppedLogLines() + sum(shards.map(({ signs }) => signs.recordsDropped)) }],
  );
  scrapedCounter(
    registry,
    {
      name: 'smtplb_shard_restarts_total',
      help: 'Times a shard was lost and replaced.',
      labels: ['shard'],
    },
    () => shardStates().map(({ shard, restarts }) => ({ labels: { shard: String(shard) }, value: restarts })),
  );
  scrapedGauge(
    registry,
    {
      name: 'smtplb_shard_up',
      help: '1 while the shard answers; 0 while it hangs or is being replaced.',
      labels: ['shard', 'transport'],
    },
    () =>
      shardStates().map(({ shard, state, transport }) => ({
        labels: { shard: String(shard), transport },
        value: state === 'running' ? 1 : 0,
      })),
  );
  scrapedGauge(
    registry,
    {
      name: 'smtplb_shard_silent_seconds',
      help: 'Time since a shard ran its clock last; a thread that hangs is ended.',
      labels: ['shard', 'transport'],
    },
    () =>
      shardStates().map(({ shard, silentMs, transport }) => ({
        labels: { shard: String(shard), transport },
        value: silentMs / 1_000,
      })),
  );
  const lag = {
    name: 'smtplb_shard_loop_lag_seconds',
    help: 'How late a shard ran its clock.',
    labels: ['shard'],
  };
  new ScrapedHistogram(registry, lag, shards[0]?.loopLagSeconds.bounds ?? [], () =>
    shards.map((shard, at) => ({ labels: { shard: String(at) }, rows: [shard.loopLagSeconds.read(0)] })),
  );
}

function listeners(registry: Registry, { board, shards, snapshot }: MetricsSources): void {
  const each = <T>(read: (row: number, listener: string) => T[]) =>
    snapshot().listeners.flatMap(({ row, name }) => read(row, name));
  const total = (row: number, column: Parameters<ShardStats['listeners']['get']>[1]) =>
    sum(shards.map(shard => shard.listeners.get(row, column)));
  const plain = (name: string, help: string, column: Parameters<ShardStats['listeners']['get']>[1]) =>
    scrapedCounter(registry, { name, help, labels: ['listener'] }, () =>
      each((row, listener) => [{ labels: { listener }, value: total(row, column) }]),
    );

  plain('smtplb_sessions_accepted_total', 'Connections accepted.', 'accepted');
  plain('smtplb_starttls_offered_total', 'Sessions in which STARTTLS was offered.', 'starttlsOffered');
  plain('smtplb_starttls_used_total', 'Sessions in which the backend accepted STARTTLS.', 'starttlsUsed');
  scrapedCounter(
    registry,
    { name: 'smtplb_bytes_total', help: 'Bytes passed on, by who sent them.', labels: ['listener', 'from'] },
    () =>
      each((row, listener) => [
        { labels: { listener, from: 'client' }, value: total(row, 'bytesFromClients') },
        { labels: { listener, from: 'backend' }, value: total(row, 'bytesFromBackends') },
      ]),
  );
  scrapedCounter(
    registry,
    {
      name: 'smtplb_sessions_total',
      help: 'Sessions that have ended, by cause and by the phase they were in. docs/terminations.md has the table.',
      labels: ['listener', 'cause', 'phase'],
    },
    () => each((row, listener) => terminations(row, listener, total)),
  );
  scrapedGauge(
    registry,
    { name: 'smtplb_sessions_active', help: 'Sessions admitted and not yet over.', labels: ['listener'] },
    () =>
      each((row, listener) => [{ labels: { listener }, value: Atomics.load(board.listenerSessions, row) }]),
  );
  histogram(registry, 'smtplb_session_duration_seconds', 'Time from accept to close.', 'listener', shards, {
    table: shard => shard.sessionSeconds,
    rows: () => snapshot().listeners,
  });
}

function pools(registry: Registry, { board, shards, snapshot }: MetricsSources): void {
  scrapedGauge(
    registry,
    { name: 'smtplb_queue_length', help: 'Sessions that wait for a backend with room.', labels: ['pool'] },
    () =>
      snapshot().pools.map(({ row, name }) => ({
        labels: { pool: name },
        value: Atomics.load(board.poolQueued, row),
      })),
  );
  scrapedCounter(
    registry,
    {
      name: 'smtplb_retries_total',
      help: 'Times a session went on to another backend, by what the one before had done.',
      labels: ['pool', 'reason'],
    },
    () =>
      snapshot().pools.flatMap(pool =>
        FAULT_CODES.map(reason => ({
          labels: { pool: pool.name, reason },
          value: sum(shards.map(shard => shard.pools.get(pool.row, `retry/${reason}`))),
        })),
      ),
  );
  const rows = () => snapshot().pools;
  histogram(
    registry,
    'smtplb_connect_duration_seconds',
    'Time from dialling a backend to connected.',
    'pool',
    shards,
    {
      table: shard => shard.connectSeconds,
      rows,
    },
  );
  histogram(
    registry,
    'smtplb_greeting_duration_seconds',
    'Time from connected to the greeting.',
    'pool',
    shards,
    {
      table: shard => shard.greetingSeconds,
      rows,
    },
  );
  histogram(
    registry,
    'smtplb_queue_wait_seconds',
    'Time in the queue, of sessions that had to wait.',
    'pool',
    shards,
    {
      table: shard => shard.queueSeconds,
      rows,
    },
  );
}

function backends(registry: Registry, sources: MetricsSources): void {
  const { board, shards, snapshot, nowMs } = sources;
  const each = (read: (backend: BackendSnapshot) => number): Sample[] =>
    snapshot().pools.flatMap(pool =>
      pool.backends.map(backend => ({
        labels: { pool: pool.name, backend: backend.name },
        value: read(backend),
      })),
    );
  const labels = ['pool', 'backend'];
  const gauge = (name: string, help: string, read: (backend: BackendSnapshot) => number) =>
    scrapedGauge(registry, { name, help, labels }, () => each(read));
  const counter = (name: string, help: string, column: Parameters<ShardStats['backends']['get']>[1]) =>
    scrapedCounter(registry, { name, help, labels }, () =>
      each(({ row }) => sum(shards.map(shard => shard.backends.get(row, column)))),
    );

  gauge('smtplb_backend_sessions_active', 'Slots taken: sessions between selection and close.', ({ row }) =>
    Atomics.load(board.backendSlots, row),
  );
  gauge('smtplb_backend_up', '1 while checks find the backend well; 1 without checks.', ({ health }) =>
    health === 'up' ? 1 : 0,
  );
  gauge('smtplb_backend_ready', '1 while the operator lets it take new sessions.', ({ admin }) =>
    admin === 'ready' ? 1 : 0,
  );
  gauge('smtplb_backend_ejected', '1 while it is left alone because sessions failed there.', ({ row }) =>
    standing(board, row, nowMs()) === 'trusted' ? 0 : 1,
  );
  gauge(
    'smtplb_backend_failures_in_a_row',
    'Sessions that have failed there since the last good one.',
    ({ row }) => Atomics.load(board.backendFailures, row),
  );
  gauge('smtplb_backend_weight', 'Its weight.', ({ weight }) => weight);
  counter('smtplb_picks_total', 'Times the balancer chose it.', 'picks');
  counter('smtplb_backend_ejections_total', 'Times it was left alone after failures.', 'ejections');
  preparations(
    registry,
    'smtplb_backend_tls_handshakes_total',
    'TLS with the backend before its greeting is passed on, by what became of it.',
    'tls/',
    sources,
  );
  preparations(
    registry,
    'smtplb_backend_xclient_total',
    'Connections on which the client was to be introduced by XCLIENT, by what became of it; or could do so itself.',
    'xclient/',
    sources,
  );
  scrapedCounter(
    registry,
    {
      name: 'smtplb_backend_failures_total',
      help: 'Sessions, and warm connections, that failed there before the greeting was passed on.',
      labels: [...labels, 'reason'],
    },
    () =>
      FAULT_CODES.flatMap(reason =>
        each(({ row }) => sum(shards.map(shard => shard.backends.get(row, reason)))).map(sample => ({
          ...sample,
          labels: { ...sample.labels, reason },
        })),
      ),
  );
}

/** Only of pools that are set up for it. */
function preparations(
  registry: Registry,
  name: string,
  help: string,
  prefix: 'tls/' | 'xclient/',
  { shards, snapshot }: MetricsSources,
): void {
  const known = PREPARATION_COLUMNS.filter(column => column.startsWith(prefix));
  const columnsOf = ({ tls, identity }: PoolSnapshot) => {
    if (prefix === 'tls/') return tls === null ? [] : known;
    if (identity === 'none') return ['xclient/exposed'] as const;
    return identity === 'xclient' ? known.filter(column => column !== 'xclient/exposed') : [];
  };
  scrapedCounter(registry, { name, help, labels: ['pool', 'backend', 'result'] }, () =>
    snapshot().pools.flatMap(pool =>
      pool.backends.flatMap(({ name: backend, row }) =>
        columnsOf(pool).map(column => ({
          labels: { pool: pool.name, backend, result: column.slice(prefix.length) },
          value: sum(shards.map(shard => shard.backends.get(row, column))),
        })),
      ),
    ),
  );
}
