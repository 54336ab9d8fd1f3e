import { configFromFlags } from '../config/flags.ts';
import { type Loaded, loadConfigFile } from '../config/load.ts';
import { printFaults, printWarnings } from './configuration.ts';
import { runServer } from './run-server.ts';
import { complain, parseFlags } from './usage.ts';

const USAGE = `Usage: smtplb run --config FILE
       smtplb run --listen ADDR [--listen ADDR ...] --backend ADDR [--backend ADDR ...] [--admin ADDR]

Balances SMTP sessions until TERM or INT. Logs JSON lines to standard output.
`;

const FLAGS = {
  config: { type: 'string', short: 'c' },
  listen: { type: 'string', multiple: true },
  backend: { type: 'string', multiple: true },
  admin: { type: 'string' },
} as const;

export async function runCommand(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, USAGE, { options: FLAGS });
  if (!parsed.ok) return parsed.status;
  const { config: file, listen = [], backend = [], admin } = parsed.args.values;
  const flagged = listen.length > 0 || backend.length > 0 || admin !== undefined;
  if ((file !== undefined) === flagged) {
    return complain('either --config, or --listen and --backend, are needed', USAGE).status;
  }
  const read = file === undefined ? null : () => loadConfigFile(file, process.env);
  const loaded: Loaded =
    read !== null
      ? await read()
      : configFromFlags({ listen, backend, ...(admin === undefined ? {} : { admin }) });
  if (!loaded.ok) {
    printFaults(loaded.faults);
    return 2;
  }
  printWarnings(loaded.config);
  return runServer(loaded.config, { read });
}
