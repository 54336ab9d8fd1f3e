import type { Registry } from 'prom-client';
import { CLIENT_HELLO_FAULTS, ROUTE_MATCHES } from '../core/routing.ts';
import type { ShardStats } from '../core/shard-stats.ts';
import type { ShardSnapshot } from '../shard/snapshot.ts';
import { scrapedCounter, sum } from './samples.ts';

export interface RoutingSource {
  readonly shards: readonly ShardStats[];
  readonly snapshot: () => ShardSnapshot;
}

/** The metrics of pools chosen by the server name in TLS; only listeners that do so, and their pools. */
export function routing(registry: Registry, { shards, snapshot }: RoutingSource): void {
  const listeners = () => snapshot().listeners.filter(listener => listener.routing !== null);
  const pools = () => {
    const named = new Set(
      listeners().flatMap(({ pool, routing }) => [pool, ...(routing?.routes ?? []).map(route => route.pool)]),
    );
    return snapshot().pools.filter(({ name }) => named.has(name));
  };
  scrapedCounter(
    registry,
    {
      name: 'smtplb_routed_sessions_total',
      help: 'Sessions given to the pool because of the server name in TLS, by how it was found.',
      labels: ['pool', 'by'],
    },
    () =>
      pools().flatMap(({ row, name }) =>
        ROUTE_MATCHES.map(by => ({
          labels: { pool: name, by },
          value: sum(shards.map(shard => shard.pools.get(row, `routed/${by}`))),
        })),
      ),
  );
  scrapedCounter(
    registry,
    {
      name: 'smtplb_client_hello_faults_total',
      help: 'Clients that said STARTTLS and could not be routed, by reason.',
      labels: ['listener', 'reason'],
    },
    () =>
      listeners().flatMap(({ row, name }) =>
        CLIENT_HELLO_FAULTS.map(reason => ({
          labels: { listener: name, reason },
          value: sum(shards.map(shard => shard.listeners.get(row, `clientHello/${reason}`))),
        })),
      ),
  );
}
