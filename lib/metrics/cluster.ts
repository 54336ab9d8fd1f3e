import type { Registry } from 'prom-client';
import type { LinkState } from '../cluster/link.ts';
import type { BackendSnapshot, PoolSnapshot } from '../pool/snapshot.ts';
import { type Sample, scrapedCounter, scrapedGauge } from './samples.ts';

/** What an instance knows of its cluster; the cluster's plane is one. */
export interface ClusterSource {
  state(): {
    readonly redis: LinkState;
    readonly instances: number;
    readonly nonsense: number;
    readonly ageMs: number | null;
  };
  /** Sessions that the other instances have at a backend; null where that is not known. */
  othersAt(pool: string, backend: string): number | null;
  readonly leases: {
    /** Slots that this instance may take; null where the limit does not hold over the cluster. */
    grantAt(pool: string, backend: string): number | null;
    /** How often only that was in a session's way. */
    hitsAt(pool: string, backend: string): number;
  };
}

export interface ClusterSources {
  readonly cluster: ClusterSource;
  /** What is wrong among the instances. */
  readonly warnings: () => number;
  readonly pools: () => readonly PoolSnapshot[];
  /** Sessions of this instance at a backend. */
  readonly ownAt: (backend: BackendSnapshot) => number;
}

/** The metrics of the cluster; only an instance with a Redis has them. */
export function cluster(registry: Registry, { cluster, pools, ownAt, warnings }: ClusterSources): void {
  const one = (scraped: typeof scrapedGauge, name: string, help: string, read: () => number | null) =>
    scraped(registry, { name, help, labels: [] }, () => {
      const value = read();
      return value === null ? [] : [{ labels: {}, value }];
    });
  const redis = () => cluster.state().redis;
  const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1_000);

  one(scrapedGauge, 'smtplb_redis_up', '1 while Redis answers as it should.', () =>
    redis().status === 'reachable' ? 1 : 0,
  );
  one(scrapedGauge, 'smtplb_redis_round_trip_seconds', 'Time the last answer of Redis took.', () =>
    seconds(redis().roundTripMs),
  );
  one(scrapedCounter, 'smtplb_redis_errors_total', 'Commands that Redis did not do.', () => redis().errors);
  one(
    scrapedCounter,
    'smtplb_redis_reconnects_total',
    'Connections to Redis made anew.',
    () => redis().reconnects,
  );
  one(
    scrapedCounter,
    'smtplb_redis_nonsense_total',
    'Values in Redis that nobody of the cluster writes, thrown away.',
    () => cluster.state().nonsense,
  );
  one(
    scrapedGauge,
    'smtplb_cluster_instances',
    'Instances of the cluster, this one included, as last heard.',
    () => cluster.state().instances,
  );
  one(
    scrapedGauge,
    'smtplb_cluster_warnings',
    'What is wrong among the instances: other configurations, names used twice.',
    warnings,
  );
  one(scrapedGauge, 'smtplb_cluster_lag_seconds', 'How old the counts of the other instances are.', () =>
    seconds(cluster.state().ageMs),
  );
  const each = (read: (pool: string, backend: BackendSnapshot) => number | null): Sample[] =>
    pools().flatMap(({ name: pool, backends }) =>
      backends.flatMap(backend => {
        const value = read(pool, backend);
        return value === null ? [] : [{ labels: { pool, backend: backend.name }, value }];
      }),
    );
  const labels = ['pool', 'backend'];
  const { leases } = cluster;
  scrapedGauge(
    registry,
    {
      name: 'smtplb_cluster_backend_sessions_active',
      help: 'Slots taken over the whole cluster, as last heard of the others.',
      labels,
    },
    () =>
      each((pool, backend) => {
        const others = cluster.othersAt(pool, backend.name);
        return others === null ? null : others + ownAt(backend);
      }),
  );
  scrapedGauge(
    registry,
    {
      name: 'smtplb_backend_granted_slots',
      help: 'Slots this instance may take, where the limit holds over the cluster.',
      labels,
    },
    () => each((pool, { name }) => leases.grantAt(pool, name)),
  );
  scrapedCounter(
    registry,
    {
      name: 'smtplb_backend_grant_exhausted_total',
      help: 'Times a session passed it over because only granted slots were missing.',
      labels,
    },
    () => each((pool, { name }) => (leases.grantAt(pool, name) === null ? null : leases.hitsAt(pool, name))),
  );
}
