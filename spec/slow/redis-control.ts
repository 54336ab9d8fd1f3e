/** Commands to a Redis without a program for each: starting programs holds up whoever measures in this process. */
import { Redis } from 'ioredis';
import type { Owner } from '../support/owner.ts';
import type { RedisServer } from '../support/redis.ts';

/** Sends a command and resolves with the answer as it is in RESP; rejects with what Redis says is wrong. */
export type Control = (command: string, ...args: readonly (string | number)[]) => Promise<unknown>;

export function openControl(owner: Owner, { port }: Pick<RedisServer, 'port'>): Control {
  const client = new Redis(port, '127.0.0.1');
  client.on('error', () => {});
  owner.teardown(() => client.disconnect());
  return (command, ...args) => client.call(command, ...args);
}
