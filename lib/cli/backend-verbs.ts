import { ADMIN_HELP } from './admin-client.ts';
import { verb } from './admin-command.ts';
import { complain, parseFlags } from './usage.ts';

const USAGE = `Usage: smtplb ready POOL/BACKEND [--cluster] [--admin ADDR]
       smtplb drain POOL/BACKEND [--cluster] [--admin ADDR]
       smtplb maint POOL/BACKEND [--end-sessions] [--cluster] [--admin ADDR]
       smtplb weight POOL/BACKEND WEIGHT|default [--cluster] [--admin ADDR]

  ready          the backend takes sessions, if its checks agree
  drain          it takes no new ones; those that run may finish
  maint          as drain, for a backend that is worked on; with --end-sessions, those that run are ended
  weight         counts from now on as WEIGHT (1 to 256), until "default" or the end of the instance

With --cluster all instances that share its Redis are told, and those that start later. Of what one instance and the
cluster were told, the later word holds.

${ADMIN_HELP}`;

/** `ready`, `drain` and `maint`. */
export function stateCommand(state: 'ready' | 'drain' | 'maint') {
  return async (argv: readonly string[]): Promise<number> => {
    const options = {
      'end-sessions': { type: 'boolean', default: false },
      cluster: { type: 'boolean', default: false },
      admin: { type: 'string' },
    } as const;
    const parsed = parseFlags(argv, USAGE, { options, allowPositionals: true });
    if (!parsed.ok) return parsed.status;
    const { values, positionals } = parsed.args;
    const path = backendPath(positionals[0]);
    if (path === undefined || positionals.length !== 1)
      return complain('one POOL/BACKEND is needed', USAGE).status;
    const endSessions = values['end-sessions'];
    if (endSessions && state !== 'maint') return complain('--end-sessions goes with maint', USAGE).status;
    return verb(values.admin, USAGE, `${path}/${state}`, { endSessions, cluster: values.cluster });
  };
}

export async function weightCommand(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, USAGE, {
    options: { admin: { type: 'string' }, cluster: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  if (!parsed.ok) return parsed.status;
  const { values, positionals } = parsed.args;
  const [backend, given, ...more] = positionals;
  const path = backendPath(backend);
  if (path === undefined || given === undefined || more.length > 0) {
    return complain('POOL/BACKEND and a weight are needed', USAGE).status;
  }
  if (given !== 'default' && !/^\d{1,3}$/.test(given))
    return complain('the weight is a whole number from 1 to 256, or "default"', USAGE).status;
  const weight = given === 'default' ? null : Number(given);
  return verb(values.admin, USAGE, `${path}/weight`, { weight, cluster: values.cluster });
}

/** Split at the first slash: a backend without a name is called by its address, which may be a path. */
function backendPath(text: string | undefined): string | undefined {
  const slash = text?.indexOf('/') ?? -1;
  if (text === undefined || slash < 1 || slash === text.length - 1) return undefined;
  const [pool, backend] = [text.slice(0, slash), text.slice(slash + 1)].map(encodeURIComponent);
  return `/api/v1/pools/${pool}/backends/${backend}`;
}
