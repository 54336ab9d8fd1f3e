/** What instances of one cluster should have in common, as short digests that can be compared without being told. */
import { createHash } from 'node:crypto';
import type { Config, PoolConfig } from '../config/config.ts';
import { MEMBER_POOLS } from './limits.ts';

/** Digests of what matters to the others in a configuration. Nothing secret goes into them. */
export interface Fingerprint {
  readonly all: string;
  /** By pool; none where there are more than MEMBER_POOLS. */
  readonly pools: ReadonlyMap<string, string>;
  /** Limits on clients that hold over the cluster, by listener. */
  readonly limits: string;
}

export function fingerprintOf(config: Pick<Config, 'pools' | 'listeners'>): Fingerprint {
  const pools = new Map(config.pools.map(pool => [pool.name, digest(matters(pool))] as const).sort(byName));
  const limited = config.listeners
    .filter(({ limits }) => limits.perClient.scope === 'cluster')
    .map(({ name, limits }) => [name, limits.perClient] as const)
    .sort(byName);
  const limits = digest(limited);
  return {
    all: digest([...pools, limits]),
    pools: pools.size > MEMBER_POOLS ? new Map() : pools,
    limits,
  };
}

/** Where the other's configuration differs from `own`, in sentences; none where they are alike. */
export function differences(own: Fingerprint, other: Fingerprint): string[] {
  if (own.all === other.all) return [];
  const found: string[] = [];
  const areNamed = own.pools.size > 0 && other.pools.size > 0;
  if (areNamed) {
    for (const [name, mine] of own.pools) {
      const theirs = other.pools.get(name);
      if (theirs === undefined) found.push(`pool ${name} is not there`);
      else if (theirs !== mine) found.push(`pool ${name} differs`);
    }
    for (const name of other.pools.keys()) if (!own.pools.has(name)) found.push(`pool ${name} is only there`);
  }
  if (own.limits !== other.limits) found.push('limits on clients differ');
  return found.length > 0 ? found : ['pools differ'];
}

/** How a pool chooses and where it sends; waiting times and checks are each instance's own business. */
function matters({ name, balance, sticky, identity, backends }: PoolConfig): unknown {
  const of = backends
    .map(
      backend =>
        [
          backend.name,
          backend.address,
          backend.weight,
          backend.maxConnections ?? null,
          backend.backup,
        ] as const,
    )
    .sort(byName);
  return [name, balance, identity, sticky ?? null, of];
}

function byName([a]: readonly [string, ...unknown[]], [b]: readonly [string, ...unknown[]]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12);
}
