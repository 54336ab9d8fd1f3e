/** A made-up cluster: four instances, one with another configuration, one with a hostile name. */
import type { ClusterDocument, ClusterSummary, InstanceStatus } from '../../lib/admin/cluster-status.ts';
import type { StatusDocument } from '../../lib/admin/status.ts';

/** The same instance, as one of a cluster in which mx3 is drained. */
export function inACluster(status: StatusDocument): StatusDocument {
  const pools = status.pools.map(pool => ({
    ...pool,
    backends: pool.backends.map(backend => ({
      ...backend,
      adminScope: backend.name === 'mx3' ? ('cluster' as const) : null,
      activeElsewhere: Math.round(backend.active * 2.6),
    })),
  }));
  return { ...status, cluster: madeUpSummary(), pools };
}

const redis = { status: 'reachable', reason: null, roundTripMs: 0.84, errors: 2, reconnects: 1 } as const;

export function madeUpInstance(instance: Partial<InstanceStatus> = {}): InstanceStatus {
  return {
    instance: 'edge-1',
    hostName: 'edge-1.example.net',
    isSelf: false,
    version: '0.1.0',
    state: 'running',
    generation: 7,
    startedAt: new Date(Date.now() - 295 * 3_600_000).toISOString(),
    shards: 2,
    transport: 'epoll',
    sessions: 311,
    secondsSinceHeartbeat: 0.6,
    differences: [],
    ...instance,
  };
}

export function madeUpCluster(cluster: Partial<ClusterDocument> = {}): ClusterDocument {
  return {
    name: 'mail-edge',
    redis,
    instances: [
      madeUpInstance({ isSelf: true, secondsSinceHeartbeat: 0 }),
      madeUpInstance({ instance: 'edge-2', hostName: 'edge-2.example.net', sessions: 298 }),
      madeUpInstance({
        instance: 'edge-3',
        hostName: 'edge-3.example.net',
        version: '0.0.9',
        generation: 6,
        sessions: 214,
        differences: ['pool mx differs', 'pool lists is not there'],
      }),
      madeUpInstance({
        instance: 'edge-4',
        hostName: 'edge-4.example.net',
        state: 'stopping',
        sessions: 3,
        secondsSinceHeartbeat: 3.9,
      }),
    ],
    warnings: [
      'the configuration of edge-3 is another one than here: pool mx differs, pool lists is not there',
    ],
    ...cluster,
  };
}

export function madeUpSummary(cluster: Partial<ClusterSummary> = {}): ClusterSummary {
  return { name: 'mail-edge', redis, instances: 4, warnings: madeUpCluster().warnings, ...cluster };
}
