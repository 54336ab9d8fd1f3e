import { version } from '../core/package.ts';

const USAGE = `Usage: smtplb COMMAND

  run --config FILE                           balance as FILE says
  run --listen ADDR --backend ADDR [--backend ADDR ...] [--admin ADDR]
                                              balance without a file
  check FILE                                  print the faults of FILE, or "ok"
  schema                                      print the JSON Schema of configuration files
  sink --listen ADDR                          an SMTP server that accepts and forgets, for trials
  status [--json]                             listeners, pools and backends of a running instance
  status --cluster [--json]                   the instances that share its Redis
  top                                         the same, live
  sessions                                    its sessions
  ready|drain|maint POOL/BACKEND              says whether a backend takes sessions
  weight POOL/BACKEND WEIGHT|default          says how many; with --cluster, these are said to all instances
  reload                                      makes it read its configuration anew
  upgrade                                     replaces it by a new process, without a gap
  transparent-setup [--apply]                 the host's rules for identity transparent

  quickstart                                  two sinks, a balancer before them, and what to try

  --help, --version

ADDR is 127.0.0.1:25, [::1]:25 or unix:/path; a backend may also be name:port.
Signals to run: HUP reloads; TERM and INT stop accepting, let sessions finish and exit; a second one ends them now.
Exit status: 0 done, 1 could not be done, 2 the command line or configuration is wrong.
`;

type Command = (argv: readonly string[]) => Promise<number>;

/** A command loads what it takes, and no more: who asks for the status waits for no balancer to be loaded. */
const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ['run', async () => (await import('./run.ts')).runCommand],
  ['status', async () => (await import('./status.ts')).statusCommand],
  ['top', async () => (await import('./top/command.ts')).topCommand],
  ['sessions', async () => (await import('./sessions.ts')).sessionsCommand],
  ['ready', async () => (await import('./backend-verbs.ts')).stateCommand('ready')],
  ['drain', async () => (await import('./backend-verbs.ts')).stateCommand('drain')],
  ['maint', async () => (await import('./backend-verbs.ts')).stateCommand('maint')],
  ['weight', async () => (await import('./backend-verbs.ts')).weightCommand],
  ['reload', async () => (await import('./renew.ts')).reloadCommand],
  ['upgrade', async () => (await import('./renew.ts')).upgradeCommand],
  ['transparent-setup', async () => (await import('./transparent-setup.ts')).transparentSetupCommand],
  ['check', async () => (await import('./check.ts')).checkCommand],
  ['schema', async () => (await import('./schema.ts')).schemaCommand],
  ['sink', async () => (await import('./sink/command.ts')).sinkCommand],
  ['quickstart', async () => (await import('./quickstart.ts')).quickstartCommand],
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
  if (command !== undefined) return (await command())(rest);
  process.stderr.write(
    `smtplb: ${name === undefined ? 'a command is needed' : `there is no command ${JSON.stringify(name)}`}\n\n${USAGE}`,
  );
  return 2;
}
