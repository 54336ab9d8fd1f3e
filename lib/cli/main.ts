import { version } from '../core/package.ts';
import { checkCommand } from './check.ts';
import { quickstartCommand } from './quickstart.ts';
import { runCommand } from './run.ts';
import { schemaCommand } from './schema.ts';
import { sinkCommand } from './sink/command.ts';

const USAGE = `Usage: smtplb COMMAND

  run --config FILE                           balance as FILE says
  run --listen ADDR --backend ADDR [--backend ADDR ...] [--admin ADDR]
                                              balance without a file
  check FILE                                  print the faults of FILE, or "ok"
  schema                                      print the JSON Schema of configuration files
  sink --listen ADDR                          an SMTP server that accepts and forgets, for trials
  quickstart                                  two sinks, a balancer before them, and what to try

  --help, --version

ADDR is 127.0.0.1:25, [::1]:25 or unix:/path; a backend may also be name:port.
Signals: TERM and INT stop accepting, let sessions finish and exit; a second one ends them now.
Exit status: 0 done, 1 could not start, 2 the command line or configuration is wrong.
`;

const COMMANDS: ReadonlyMap<string, (argv: readonly string[]) => Promise<number>> = new Map([
  ['run', runCommand],
  ['check', checkCommand],
  ['schema', schemaCommand],
  ['sink', sinkCommand],
  ['quickstart', quickstartCommand],
]);

/** Runs the command line and resolves with the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === '--version' || name === '-V') {
    process.stdout.write(`smtplb ${version}\n`);
    return 0;
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(USAGE);
    return 0;
  }
  const command = name === undefined ? undefined : COMMANDS.get(name);
  if (command !== undefined) return command(rest);
  process.stderr.write(
    `smtplb: ${name === undefined ? 'a command is needed' : `there is no command ${JSON.stringify(name)}`}\n\n${USAGE}`,
  );
  return 2;
}
