import type { Registry } from 'prom-client';
import type { Board } from '../core/board.ts';
import { type ShardStats, WARM_RESULTS } from '../core/shard-stats.ts';
import type { ShardSnapshot } from '../shard/snapshot.ts';
import { scrapedCounter, scrapedGauge, sum } from './samples.ts';

export interface WarmSource {
  readonly board: Board;
  readonly shards: readonly ShardStats[];
  readonly snapshot: () => ShardSnapshot;
}

/** Connections that are opened ahead of clients; only pools with `warm` have these metrics. */
export function warm(registry: Registry, { board, shards, snapshot }: WarmSource): void {
  const backends = () =>
    snapshot()
      .pools.filter(pool => pool.warm !== undefined)
      .flatMap(pool =>
        pool.backends.map(({ name, row }) => ({ labels: { pool: pool.name, backend: name }, row })),
      );
  scrapedGauge(
    registry,
    {
      name: 'smtplb_backend_warm_connections',
      help: 'Connections that have greeted and wait for a session.',
      labels: ['pool', 'backend'],
    },
    () => backends().map(({ labels, row }) => ({ labels, value: Atomics.load(board.backendWarmReady, row) })),
  );
  scrapedCounter(
    registry,
    {
      name: 'smtplb_backend_warm_total',
      help: 'Warm connections, by what became of them; missed: there was none for a session.',
      labels: ['pool', 'backend', 'result'],
    },
    () =>
      backends().flatMap(({ labels, row }) =>
        WARM_RESULTS.map(result => ({
          labels: { ...labels, result },
          value: sum(shards.map(shard => shard.backends.get(row, `warm/${result}`))),
        })),
      ),
  );
}
