/** What instances share beside their counts: the clients of sticky pools, and what checks find. */
import { createSharedChecks } from './cluster/checks.ts';
import { createClusterKeeper } from './cluster/sticky.ts';
import type { ClusterPlane } from './cluster-plane.ts';
import { monotonicMs } from './core/clock.ts';
import type { Logger } from './core/log.ts';
import type { Monitor } from './health/monitor.ts';
import type { CheckSharing } from './health/sharing.ts';
import { createLocalKeeper, type StickyKeeper } from './shard/sticky-keeper.ts';

export interface Shared {
  readonly keeper: StickyKeeper;
  /** Null where this instance is alone. */
  readonly checks: CheckSharing | null;
}

/** Without a cluster the shards of this instance remember together, and it checks by itself. */
export function shareOver(
  cluster: ClusterPlane | null,
  instance: string,
  log: Logger,
  monitor: () => Monitor,
): Shared {
  if (cluster === null) return { keeper: createLocalKeeper(monotonicMs), checks: null };
  const { link, incarnation } = cluster;
  const { prefix } = cluster.keys;
  const checks = createSharedChecks({
    link,
    prefix,
    incarnation,
    instance,
    own: () => monitor().findings(),
    onNews: () => monitor().settle(),
  });
  cluster.join({ tick: checks.tick, leave: checks.leave });
  return { keeper: createClusterKeeper({ link, prefix, log }), checks };
}
