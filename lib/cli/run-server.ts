import type { Config } from '../config/config.ts';
import { readInheritance } from '../inherit.ts';
import { type Server, type ServerOptions, startServer } from '../server.ts';
import { tellPredecessor } from '../upgrade.ts';

/**
 * Runs an instance until it is told to stop, and resolves with the exit status. HUP reloads; the first TERM or INT
 * drains; the second ends the sessions that are left.
 */
export async function runServer(
  config: Config,
  options: ServerOptions = {},
  onReady: (server: Server) => void = () => {},
): Promise<number> {
  let server: Server;
  try {
    server = await startServer(config, { inheritance: readInheritance(process.env), ...options });
  } catch (error) {
    process.stderr.write(`smtplb: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
  onReady(server);
  tellPredecessor();
  // A reload that fails has said so in the log, and changed nothing.
  const reload = (): void => void server.reload();
  const stop = (): void => void server.stop();
  process.on('SIGHUP', reload);
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  await server.stopped;
  process.off('SIGHUP', reload);
  process.off('SIGTERM', stop);
  process.off('SIGINT', stop);
  return 0;
}
