import type { PoolSnapshot, StickyOptions } from '../../lib/pool/snapshot.ts';
import { backend, pool } from '../balancer/pools.ts';
import type { Random } from '../smtp/random.ts';

const STICKY: StickyOptions = {
  by: 'client-network',
  ttlMs: 5_000,
  timeoutMs: 100,
  ipv4Prefix: 24,
  ipv6Prefix: 80,
};

/** Makes snapshots of one pool, each as a reload, a check or an operator might have made it of the one before. */
export function randomPools(random: Random): () => PoolSnapshot {
  const identity = random.pick(['none', 'none', 'proxy-v1', 'proxy-v2'] as const);
  const warm = identity === 'none' ? random.pick([0, 2, 4, 4]) : 0;
  return () =>
    pool(
      Array.from({ length: 1 + random.below(4) }, (_, row) =>
        backend(row, {
          weight: 1 + random.below(3),
          maxConnections: random.pick([1, 2, 4, Number.POSITIVE_INFINITY]),
          backup: random.below(5) === 0,
          admin: random.below(6) === 0 ? random.pick(['drain', 'maint'] as const) : 'ready',
          health: random.below(10) === 0 ? 'down' : 'up',
        }),
      ),
      {
        identity,
        balance: random.pick(['least-connections', 'round-robin', 'source-hash'] as const),
        connect: {
          timeoutMs: 1_000,
          greetingTimeoutMs: 2_000,
          attempts: 1 + random.below(4),
          retryOnGreeting: random.pick([[], [421]]),
        },
        queue: { size: random.pick([1, 4, 20]), timeoutMs: 2_500 },
        slowStartMs: random.pick([0, 1_000]),
        sticky: random.pick([undefined, STICKY]),
        warm: warm === 0 ? undefined : { size: warm, maxAgeMs: 4_000 },
      },
    );
}
