import type { ClusterDocument, ClusterSummary } from '../admin/cluster-status.ts';
import type { BackendStatus, StatusDocument } from '../admin/status.ts';
import { ADMIN_HELP } from './admin-client.ts';
import { withAdmin } from './admin-command.ts';
import { clusterText } from './cluster-status.ts';
import { printableLines } from './printable-lines.ts';
import { table } from './table.ts';
import { parseFlags } from './usage.ts';

const USAGE = `Usage: smtplb status [--cluster] [--json] [--admin ADDR]

Shows listeners, pools and backends of a running instance.

  --cluster      the instances of its cluster instead: what they are, and where they differ
  --json         the document that GET /api/v1/status answers with, or GET /api/v1/cluster
${ADMIN_HELP}`;

export async function statusCommand(argv: readonly string[]): Promise<number> {
  const options = {
    json: { type: 'boolean', default: false },
    cluster: { type: 'boolean', default: false },
    admin: { type: 'string' },
  } as const;
  const parsed = parseFlags(argv, USAGE, { options });
  if (!parsed.ok) return parsed.status;
  const { admin, cluster, json } = parsed.args.values;
  return withAdmin(admin, USAGE, async client => {
    const document = await client.get(cluster ? '/api/v1/cluster' : '/api/v1/status');
    const text = () =>
      cluster ? clusterText(document as ClusterDocument) : statusText(document as StatusDocument);
    process.stdout.write(json ? `${JSON.stringify(document, null, 2)}\n` : text());
    return 0;
  });
}

/** "2 on io_uring, 1 on net (1 restarting, 4 restarts so far)" */
function shardsText(shards: StatusDocument['shards']): string {
  const kinds = [...new Set(shards.map(({ transport }) => transport))];
  const words = kinds.map(
    kind => `${shards.filter(({ transport }) => transport === kind).length} on ${kind}`,
  );
  const notes = (['restarting', 'stuck'] as const)
    .map(odd => [shards.filter(({ state }) => state === odd).length, odd] as const)
    .filter(([count]) => count > 0)
    .map(([count, odd]) => `${count} ${odd}`);
  const restarts = shards.reduce((sum, shard) => sum + shard.restarts, 0);
  if (restarts > 0) notes.push(`${restarts} ${restarts === 1 ? 'restart' : 'restarts'} so far`);
  return `${words.join(', ')}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}`;
}

/** The status document as an operator reads it in a terminal. */
export function statusText(status: StatusDocument): string {
  const { instance, version, state, generation, startedAt, lastReload } = status;
  const head = `${instance}  smtplb ${version}  ${state}  generation ${generation}  since ${startedAt}\n`;
  const shards = `shards: ${shardsText(status.shards)}\n`;
  const reload = lastReload === null ? '' : `last reload ${lastReload.at}: ${lastReload.message}\n`;
  const listeners = table(
    ['LISTENER', 'ADDRESSES', 'POOL', 'ACTIVE', 'LIMIT', 'ACCEPTED'],
    status.listeners.map(({ name, addresses, pool, active, limit, accepted }) => [
      name,
      addresses.join(' '),
      pool,
      active,
      limit ?? '-',
      accepted,
    ]),
  );
  const isWarm = status.pools.some(pool => pool.backends.some(({ warm }) => warm !== null));
  const backends = table(
    [
      ...['BACKEND', 'ADDRESS', 'STATE', 'ACTIVE'],
      ...(status.cluster === null ? [] : ['ELSEWHERE']),
      ...(isWarm ? ['WARM'] : []),
      ...['LIMIT', 'WEIGHT', 'PICKS', 'FAILED', 'LAST CHECK'],
    ],
    status.pools.flatMap(pool =>
      pool.backends.map(backend => [
        `${pool.name}/${backend.name}`,
        backend.address,
        stateText(backend),
        backend.active,
        ...(status.cluster === null ? [] : [backend.activeElsewhere ?? '-']),
        ...(isWarm ? [backend.warm ?? '-'] : []),
        backend.limit ?? '-',
        `${backend.weight}${backend.weightScope === 'cluster' && backend.weight !== backend.configuredWeight ? ' (cluster)' : ''}`,
        backend.picks,
        backend.failures,
        checkText(backend),
      ]),
    ),
  );
  const queues = status.pools
    .filter(({ queued }) => queued > 0)
    .map(({ name, queued, queueSize }) => `pool ${name}: ${queued} of at most ${queueSize} sessions wait\n`);
  const cluster = status.cluster === null ? '' : clusterLines(status.cluster);
  return printableLines(
    `${head}${shards}${reload}${cluster}\n${listeners}\n${backends}${queues.length > 0 ? '\n' : ''}${queues.join('')}`,
  );
}

function clusterLines({ instances, name, redis, warnings }: ClusterSummary): string {
  const lost = redis.status === 'unreachable' ? `, Redis is not reachable: ${redis.reason}` : '';
  const there = instances === 1 ? '1 instance' : `${instances} instances`;
  return [`cluster ${name}: ${there}${lost}`, ...warnings.map(warning => `! ${warning}`)]
    .map(line => `${line}\n`)
    .join('');
}

/** Health and the operator's word in as few words as they need. */
export function stateText({ admin, adminScope, health, ejectedForSeconds, backup }: BackendStatus): string {
  const said = admin === 'ready' ? '' : ` ${admin}${adminScope === 'cluster' ? ' (cluster)' : ''}`;
  const failing = ejectedForSeconds === null ? '' : ` failing(${ejectedForSeconds}s)`;
  return `${health}${said}${failing}${backup ? ' backup' : ''}`;
}

function checkText({ check }: BackendStatus): string {
  if (check === null) return '-';
  const { checkers, detail, durationMs, isCheckedHere, outcome } = check;
  if (outcome === null) return 'none yet';
  // The detail of a check that others make says who they are.
  if (!isCheckedHere) return `${outcome} ${detail}`.trim();
  const by = checkers === null ? '' : ` (checked by ${checkers.join(', ')})`;
  return `${`${outcome} ${Math.round(durationMs)} ms ${detail}`.trim()}${by}`;
}
