import { ADMIN_HELP } from './admin-client.ts';
import { verb } from './admin-command.ts';
import { parseFlags } from './usage.ts';

const USAGE = `Usage: smtplb reload [--admin ADDR]

The instance reads its configuration file anew, as at HUP. A file with a fault changes nothing.

${ADMIN_HELP}`;

export async function reloadCommand(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, USAGE, { options: { admin: { type: 'string' } } });
  return parsed.ok ? verb(parsed.args.values.admin, USAGE, '/api/v1/reload') : parsed.status;
}
