/** Lua that Redis runs as one step. Each script is a file beside this one. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { programRoot } from '../core/package.ts';
import type { RedisClient } from './connect.ts';

export interface Script {
  readonly text: string;
  /** Runs it; sent in full only where this Redis does not know it yet. Rejects as the client does. */
  run(client: RedisClient, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
}

/** `name` without its ending; the file must be there, as it is part of the program. */
export function loadScript(name: string): Script {
  const text = readFileSync(new URL(`lib/cluster/${name}.lua`, programRoot), 'utf8');
  const digest = createHash('sha1').update(text).digest('hex');
  return {
    text,
    async run(client, keys, args) {
      const rest = [...keys, ...args];
      try {
        return await client.evalsha(digest, keys.length, ...rest);
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
        return await client.eval(text, keys.length, ...rest);
      }
    },
  };
}
