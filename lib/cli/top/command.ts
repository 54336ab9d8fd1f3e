import type { StatusDocument } from '../../admin/status.ts';
import { ADMIN_HELP, type AdminClient } from '../admin-client.ts';
import { withAdmin } from '../admin-command.ts';
import { complain, parseFlags } from '../usage.ts';
import { ratesBetween } from './rates.ts';
import { screenLines } from './screen.ts';
import { openTerminal, type Terminal } from './terminal.ts';

const USAGE = `Usage: smtplb top [--interval SECONDS] [--admin ADDR]

Shows a running instance live, and takes ready, drain and maint for the selected backend.

  --interval SECONDS   between two readings (default: 1)
${ADMIN_HELP}`;

const KEY_UP = '\u001b[A';
const KEY_DOWN = '\u001b[B';
const CTRL_C = '\u0003';
const VERBS: ReadonlyMap<string, string> = new Map([
  ['r', 'ready'],
  ['d', 'drain'],
  ['m', 'maint'],
]);

export async function topCommand(argv: readonly string[]): Promise<number> {
  const options = { interval: { type: 'string', default: '1' }, admin: { type: 'string' } } as const;
  const parsed = parseFlags(argv, USAGE, { options });
  if (!parsed.ok) return parsed.status;
  const { admin, interval } = parsed.args.values;
  const seconds = Number(interval);
  if (!(seconds >= 0.1 && seconds <= 3_600))
    return complain('--interval is 0.1 to 3600 seconds', USAGE).status;
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    return complain('top needs a terminal; see status', USAGE).status;
  return withAdmin(admin, USAGE, async client => {
    const first = (await client.get('/api/v1/status')) as StatusDocument;
    await show(client, first, seconds * 1_000);
    return 0;
  });
}

/** Shows the instance until `q`. An instance that does not answer is said so, and asked again. */
function show(client: AdminClient, first: StatusDocument, intervalMs: number): Promise<void> {
  return new Promise(resolve => {
    let [before, after]: [StatusDocument | null, StatusDocument] = [null, first];
    let selected = 0;
    let message = '';
    let timer: NodeJS.Timeout | undefined;
    let open = true;

    const backends = () =>
      after.pools.flatMap(pool => pool.backends.map(({ name }) => ({ pool: pool.name, name })));
    const draw = (): void => {
      if (!open) return;
      const state = { status: after, rates: ratesBetween(before, after), selected, message };
      terminal.draw(screenLines(state, terminal.columns, terminal.rows));
    };
    const read = async (): Promise<void> => {
      try {
        const status = (await client.get('/api/v1/status')) as StatusDocument;
        [before, after] = [after, status];
      } catch (error) {
        message = error instanceof Error ? error.message : String(error);
      }
      draw();
      if (open) timer = setTimeout(() => void read(), intervalMs);
    };
    const say = async (verb: string): Promise<void> => {
      const backend = backends()[selected];
      if (backend === undefined) return;
      const path = `/api/v1/pools/${encodeURIComponent(backend.pool)}/backends/${encodeURIComponent(backend.name)}/${verb}`;
      message = await client.post(path).then(
        outcome => outcome.message,
        error => (error instanceof Error ? error.message : String(error)),
      );
      draw();
    };
    const close = (): void => {
      open = false;
      clearTimeout(timer);
      process.off('SIGTERM', close);
      terminal.close();
      resolve();
    };
    const terminal: Terminal = openTerminal(key => {
      const last = Math.max(0, backends().length - 1);
      const verb = VERBS.get(key);
      if (key === 'q' || key === CTRL_C) return close();
      if (verb !== undefined) return void say(verb);
      if (key === KEY_UP || key === 'k') selected = Math.max(0, selected - 1);
      if (key === KEY_DOWN || key === 'j') selected = Math.min(last, selected + 1);
      draw();
    }, draw);
    process.on('SIGTERM', close);
    draw();
    timer = setTimeout(() => void read(), intervalMs);
  });
}
