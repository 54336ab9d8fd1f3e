import type { BackendStatus, StatusDocument } from '../admin/status.ts';
import { printable } from '../core/text.ts';
import { ADMIN_HELP } from './admin-client.ts';
import { withAdmin } from './admin-command.ts';
import { table } from './table.ts';
import { parseFlags } from './usage.ts';

const USAGE = `Usage: smtplb status [--json] [--admin ADDR]

Shows listeners, pools and backends of a running instance.

  --json         the document that GET /api/v1/status answers with
${ADMIN_HELP}`;

export async function statusCommand(argv: readonly string[]): Promise<number> {
  const options = { json: { type: 'boolean', default: false }, admin: { type: 'string' } } as const;
  const parsed = parseFlags(argv, USAGE, { options });
  if (!parsed.ok) return parsed.status;
  return withAdmin(parsed.args.values.admin, USAGE, async client => {
    const status = (await client.get('/api/v1/status')) as StatusDocument;
    process.stdout.write(
      parsed.args.values.json ? `${JSON.stringify(status, null, 2)}\n` : statusText(status),
    );
    return 0;
  });
}

/** The status document as an operator reads it in a terminal. */
export function statusText(status: StatusDocument): string {
  const { instance, version, state, generation, startedAt, lastReload } = status;
  const head = `${instance}  smtplb ${version}  ${state}  generation ${generation}  since ${startedAt}\n`;
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
  const backends = table(
    ['BACKEND', 'ADDRESS', 'STATE', 'ACTIVE', 'LIMIT', 'WEIGHT', 'PICKS', 'FAILED', 'LAST CHECK'],
    status.pools.flatMap(pool =>
      pool.backends.map(backend => [
        `${pool.name}/${backend.name}`,
        backend.address,
        stateText(backend),
        backend.active,
        backend.limit ?? '-',
        backend.weight,
        backend.picks,
        backend.failures,
        checkText(backend),
      ]),
    ),
  );
  const queues = status.pools
    .filter(({ queued }) => queued > 0)
    .map(({ name, queued, queueSize }) => `pool ${name}: ${queued} of at most ${queueSize} sessions wait\n`);
  return printableLines(
    `${head}${reload}\n${listeners}\n${backends}${queues.length > 0 ? '\n' : ''}${queues.join('')}`,
  );
}

/** Health and the operator's word in as few words as they need. */
export function stateText({ admin, health, ejectedForSeconds, backup }: BackendStatus): string {
  const failing = ejectedForSeconds === null ? '' : ` failing(${ejectedForSeconds}s)`;
  return `${health}${admin === 'ready' ? '' : ` ${admin}`}${failing}${backup ? ' backup' : ''}`;
}

function checkText({ check }: BackendStatus): string {
  if (check === null) return '-';
  return check.outcome === null
    ? 'none yet'
    : `${check.outcome} ${Math.round(check.durationMs)} ms ${check.detail}`.trim();
}

/** What a backend has said ends up in a terminal: no control character of its may. */
function printableLines(text: string): string {
  return text
    .split('\n')
    .map(line => printable(line, 400))
    .join('\n');
}
