import { printable } from '../core/text.ts';
import type { SessionView } from '../session/record.ts';
import { ADMIN_HELP } from './admin-client.ts';
import { withAdmin } from './admin-command.ts';
import { table } from './table.ts';
import { parseFlags } from './usage.ts';

const USAGE = `Usage: smtplb sessions [--pool POOL] [--backend BACKEND] [--limit N] [--json] [--admin ADDR]

Lists the sessions that are not over, the oldest first (1,000 unless told).

${ADMIN_HELP}`;

const OPTIONS = {
  pool: { type: 'string' },
  backend: { type: 'string' },
  limit: { type: 'string' },
  json: { type: 'boolean', default: false },
  admin: { type: 'string' },
} as const;

export async function sessionsCommand(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, USAGE, { options: OPTIONS });
  if (!parsed.ok) return parsed.status;
  const { admin, json, ...filter } = parsed.args.values;
  const query = new URLSearchParams(
    Object.entries(filter).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  return withAdmin(admin, USAGE, async client => {
    const { sessions } = (await client.get(`/api/v1/sessions?${query}`)) as { sessions: SessionView[] };
    process.stdout.write(json ? `${JSON.stringify(sessions, null, 2)}\n` : sessionsText(sessions));
    return 0;
  });
}

function sessionsText(sessions: readonly SessionView[]): string {
  return table(
    ['ID', 'CLIENT', 'LISTENER', 'BACKEND', 'PHASE', 'SECONDS', 'FROM CLIENT', 'FROM BACKEND'],
    sessions.map(session => [
      session.id,
      printable(session.client),
      session.listener,
      session.backend === null ? '-' : `${session.pool}/${session.backend}`,
      session.phase,
      Math.round(session.ageMs / 1_000),
      session.bytesFromClient,
      session.bytesFromBackend,
    ]),
  );
}
