/** What a configuration may already say and this version does not do yet. */
import type { Config, PoolConfig } from './config.ts';

export interface Unsupported {
  /** `pools[0].sticky` */
  readonly path: string;
  /** What it is called: "sticky sessions". */
  readonly feature: string;
}

/**
 * Everything that is switched on in `config` and not implemented, in the order of the keys. A program that starts
 * with any of it would silently do less than it was told, so it does not start.
 */
export function unsupported(config: Config): Unsupported[] {
  const found: Unsupported[] = [];
  const note = (on: boolean, path: string, feature: string): void => {
    if (on) found.push({ path, feature });
  };
  config.pools.forEach((pool, at) => {
    ofPool(pool, `pools[${at}]`, note);
  });
  return found;
}

type Note = (on: boolean, path: string, feature: string) => void;

function ofPool(pool: PoolConfig, path: string, note: Note): void {
  note(pool.warm > 0, `${path}.warm`, 'warm connections');
}
