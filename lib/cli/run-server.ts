import type { Config } from '../config/config.ts';
import { readInheritance } from '../inherit.ts';
import { type Server, type ServerOptions, startServer } from '../server.ts';
import { tellPredecessor } from '../upgrade.ts';

/**
 * Runs an instance until it is told to stop, and resolves with the exit status. HUP reloads; the first TERM or INT
 * drains; the second ends the sessions that are left. A word said while it starts is kept until it has started: clients
 * may be served before the last part of it runs.
 */
export async function runServer(
  config: Config,
  options: ServerOptions = {},
  onReady: (server: Server) => void = () => {},
): Promise<number> {
  let server: Server | null = null;
  let stops = 0;
  const early: ((started: Server) => void)[] = [];
  const say = (word: (started: Server) => void): void => {
    if (server === null) early.push(word);
    else word(server);
  };
  // A reload that fails has said so in the log, and changed nothing.
  const reload = (): void => say(started => void started.reload());
  const stop = (): void => {
    // Said twice to what has not started yet: whatever holds it up, nobody waits for it any longer.
    if (stops++ > 0 && server === null) process.exit(1);
    say(started => void started.stop());
  };
  process.on('SIGHUP', reload);
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  try {
    server = await startServer(config, { inheritance: readInheritance(process.env), ...options });
    onReady(server);
    tellPredecessor();
    for (const word of early) word(server);
    await server.stopped;
    return 0;
  } catch (error) {
    process.stderr.write(`smtplb: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    process.off('SIGHUP', reload);
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
  }
}
