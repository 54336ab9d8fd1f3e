import { fileURLToPath } from 'node:url';
import { loadConfigFile } from '../config/load.ts';
import { formatBackendAddress } from '../config/resolve.ts';
import { formatAddress } from '../core/address.ts';
import { packageRoot } from '../core/package.ts';
import { printFaults } from './configuration.ts';
import { runServer } from './run-server.ts';
import { type Sink, startSink } from './sink/sink.ts';
import { parseFlags } from './usage.ts';

const USAGE = `Usage: smtplb quickstart

Runs examples/quick-start.yaml with a sink behind each of its backends, and prints what to try.
`;

const CONFIG_FILE = fileURLToPath(new URL('examples/quick-start.yaml', packageRoot));

export async function quickstartCommand(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, USAGE, {});
  if (!parsed.ok) return parsed.status;
  const loaded = await loadConfigFile(CONFIG_FILE, process.env);
  if (!loaded.ok) {
    printFaults(loaded.faults);
    return 2;
  }
  const { config } = loaded;
  const sinks: Sink[] = [];
  try {
    for (const backend of config.pools.flatMap(pool => pool.backends)) {
      const { address, name } = backend;
      if (address.family === 'name') continue;
      sinks.push(await startSink({ listen: address, hostName: `${name}.sink` }));
      process.stdout.write(`sink ${name} listens on ${formatBackendAddress(address)}\n`);
    }
    return await runServer(config, {}, ({ listening, admin }) => {
      const [address] = [...listening.values()].flat();
      if (address !== undefined)
        process.stdout.write(whatToTry(formatAddress(address), admin && formatAddress(admin)));
    });
  } catch (error) {
    process.stderr.write(`smtplb quickstart: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await Promise.all(sinks.map(sink => sink.stop()));
  }
}

function whatToTry(listening: string, admin: string | null): string {
  return `
smtplb balances ${listening} over the sinks. In another terminal, try:

  swaks --server ${listening} --to someone@example.net
  printf 'EHLO me\\r\\nQUIT\\r\\n' | nc ${listening.replace(/:(\d+)$/, ' $1')}
  curl http://${admin}/metrics
  and open http://${admin}/ in a browser

Each session is a line of JSON below. Ctrl-C stops.

`;
}
