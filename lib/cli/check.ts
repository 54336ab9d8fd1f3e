import { loadConfigFile } from '../config/load.ts';
import { printFaults, printWarnings } from './configuration.ts';
import { complain, parseFlags } from './usage.ts';

const USAGE = `Usage: smtplb check FILE

Prints every fault of a configuration as file:line:column: key: sentence, or "ok".
Exit status: 0 for a configuration without faults, 2 otherwise.
`;

export async function checkCommand(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, USAGE, { allowPositionals: true });
  if (!parsed.ok) return parsed.status;
  const [file, ...more] = parsed.args.positionals;
  if (file === undefined || more.length > 0) return complain('one FILE is needed', USAGE).status;
  const loaded = await loadConfigFile(file, process.env);
  if (!loaded.ok) {
    printFaults(loaded.faults);
    return 2;
  }
  printWarnings(loaded.config);
  process.stdout.write('ok\n');
  return 0;
}
