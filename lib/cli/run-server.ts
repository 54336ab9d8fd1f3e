import type { Config } from '../config/config.ts';
import { type Server, startServer } from '../server.ts';

/**
 * Runs an instance until it is told to stop, and resolves with the exit status. The first TERM or INT drains; the
 * second ends the sessions that are left.
 */
export async function runServer(
  config: Config,
  onReady: (server: Server) => void = () => {},
): Promise<number> {
  let server: Server;
  try {
    server = await startServer(config);
  } catch (error) {
    process.stderr.write(`smtplb: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
  onReady(server);
  return new Promise(resolve => {
    const stop = (): void => {
      server.stop().then(
        () => {
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
