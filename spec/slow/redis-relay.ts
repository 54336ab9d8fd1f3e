/** What stands between instances and their Redis, and holds answers back. */
import { connect, createServer, type Socket } from 'node:net';
import type { Owner } from '../support/owner.ts';

export interface LateRelay {
  readonly port: number;
  /** Whatever Redis says from now on comes so many milliseconds late, and in order. */
  delay(ms: number): void;
}

export async function startLateRelay(owner: Owner, redisPort: number): Promise<LateRelay> {
  const sockets = new Set<Socket>();
  let delayMs = 0;
  const server = createServer(client => {
    const redis = connect(redisPort, '127.0.0.1');
    let last = 0;
    redis.on('data', chunk => {
      // Never before what was said earlier.
      last = Math.max(performance.now() + delayMs, last);
      setTimeout(() => client.write(chunk), last - performance.now());
    });
    client.on('data', chunk => redis.write(chunk));
    for (const [one, other] of [
      [client, redis],
      [redis, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  owner.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const bound = server.address();
  if (typeof bound !== 'object' || bound === null) throw new Error('a relay without a port');
  return {
    port: bound.port,
    delay(ms) {
      delayMs = ms;
    },
  };
}
