import type { Config } from '../config/config.ts';
import { type Server, type ServerOptions, startServer } from '../server.ts';

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
    server = await startServer(config, options);
  } catch (error) {
    process.stderr.write(`smtplb: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
  onReady(server);
  // A reload that fails has said so in the log, and changed nothing.
  const reload = (): void => void server.reload();
  process.on('SIGHUP', reload);
  return new Promise(resolve => {
    const stop = (): void => {
      server.stop().then(
        () => {
          process.off('SIGHUP', reload);
          process.off('SIGTERM', stop);
          process.off('SIGINT', stop);
          resolve(0);
        },
        error => {
          server.logger.error({ err: error }, 'could not stop in order');
          resolve(1);
        },
      );
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}
