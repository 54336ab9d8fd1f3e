import type { Flow } from '../handler-relay.ts';
import type { NetConnection } from './connection.ts';

/** Half of the second within which a reset is to be passed on. */
const PERIOD_MS = 500;

/**
 * Remembers connections that are not read because their other side does not take more. Nobody polls such a socket, so a
 * reset of its peer would be noticed only when reading goes on, or never. A write of nothing asks the kernel: it sends
 * no segment, and fails if the connection is gone.
 */
export function createNetFlow(): Flow<NetConnection> {
  const connections = new Set<NetConnection>();
  let timer: NodeJS.Timeout | null = null;
  const forget = (connection: NetConnection): void => {
    connections.delete(connection);
    if (connections.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  };
  return {
    hasRoom: connection => connection.writable,
    forget,
    goOn(connection) {
      forget(connection);
      connection.resume();
    },
    stall(connection) {
      connection.pause();
      connections.add(connection);
      timer ??= setInterval(() => {
        for (const stalled of connections) stalled.probe();
      }, PERIOD_MS).unref();
    },
  };
}
