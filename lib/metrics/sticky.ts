import type { Registry } from 'prom-client';
import { type ShardStats, STICKY_RESULTS } from '../core/shard-stats.ts';
import type { ShardSnapshot } from '../shard/snapshot.ts';
import { scrapedCounter, sum } from './samples.ts';

export interface StickySource {
  readonly shards: readonly ShardStats[];
  readonly snapshot: () => ShardSnapshot;
}

/** What became of clients that are remembered; only sticky pools have these metrics. */
export function sticky(registry: Registry, { shards, snapshot }: StickySource): void {
  const pools = () => snapshot().pools.filter(pool => pool.sticky !== undefined);
  scrapedCounter(
    registry,
    {
      name: 'smtplb_sticky_lookups_total',
      help: 'Sessions of sticky pools, by how their backend was found.',
      labels: ['pool', 'result'],
    },
    () =>
      pools().flatMap(({ row, name: pool }) =>
        STICKY_RESULTS.map(result => ({
          labels: { pool, result },
          value: sum(shards.map(shard => shard.pools.get(row, `sticky/${result}`))),
        })),
      ),
  );
  const ofSticky = (name: string, help: string, column: 'stickyMoved' | 'stickyLost') =>
    scrapedCounter(registry, { name, help, labels: ['pool'] }, () =>
      pools().map(({ row, name: pool }) => ({
        labels: { pool },
        value: sum(shards.map(shard => shard.pools.get(row, column))),
      })),
    );
  ofSticky(
    'smtplb_sticky_moved_total',
    'Sessions served by another backend than the one remembered for their client.',
    'stickyMoved',
  );
  ofSticky(
    'smtplb_sticky_claims_lost_total',
    'Sessions whose client another session had sent elsewhere first.',
    'stickyLost',
  );
}
