import { ADMIN_HELP } from './admin-client.ts';
import { verb } from './admin-command.ts';
import { parseFlags } from './usage.ts';

const USAGE = `Usage: smtplb reload [--admin ADDR]

The instance reads its configuration file anew, as at HUP. A file with a fault changes nothing.

${ADMIN_HELP}`;

const UPGRADE_USAGE = `Usage: smtplb upgrade [--admin ADDR]

The instance starts the program anew, as it is installed now, with the same arguments and the same listening sockets.
When that is ready, the old process lets its sessions finish and leaves. If it does not start, the old one carries on.

${ADMIN_HELP}`;

export async function reloadCommand(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, USAGE, { options: { admin: { type: 'string' } } });
  return parsed.ok ? verb(parsed.args.values.admin, USAGE, '/api/v1/reload') : parsed.status;
}

export async function upgradeCommand(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, UPGRADE_USAGE, { options: { admin: { type: 'string' } } });
  return parsed.ok ? verb(parsed.args.values.admin, UPGRADE_USAGE, '/api/v1/upgrade') : parsed.status;
}
