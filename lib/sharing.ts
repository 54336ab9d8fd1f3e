/** What instances share beside their counts: the clients of sticky pools, what checks find, and keys of TLS tickets. */
import { createSharedChecks } from './cluster/checks.ts';
import { TICKETS_EXCHANGE_MS, TICKETS_LEAD_MS } from './cluster/limits.ts';
import { createClusterKeeper } from './cluster/sticky.ts';
import { createTicketSharing } from './cluster/ticket-keys.ts';
import type { ClusterPlane } from './cluster-plane.ts';
import { monotonicMs } from './core/clock.ts';
import type { Logger } from './core/log.ts';
import type { EdgeTls } from './edge-tls.ts';
import type { Monitor } from './health/monitor.ts';
import type { CheckSharing } from './health/sharing.ts';
import { createLocalKeeper, type StickyKeeper } from './shard/sticky-keeper.ts';
import { TICKET_KEY_PERIOD_MS } from './tls/ticket-keys.ts';

export interface Shared {
  readonly keeper: StickyKeeper;
  /** Null where this instance is alone. */
  readonly checks: CheckSharing | null;
  /** Whether new TLS tickets are good at other instances, too; null where this instance is alone. */
  readonly tickets: { readonly isShared: boolean } | null;
}

/** Without a cluster the shards of this instance remember together, and it checks by itself. */
export function shareOver(
  cluster: ClusterPlane | null,
  instance: string,
  log: Logger,
  monitor: () => Monitor,
  edgeTls: Pick<EdgeTls, 'tickets' | 'privateKeys'>,
): Shared {
  if (cluster === null) return { keeper: createLocalKeeper(monotonicMs), checks: null, tickets: null };
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
  const tickets = createTicketSharing({
    ...{ link, prefix, log },
    ...edgeTls,
    now: monotonicMs,
    periodMs: TICKET_KEY_PERIOD_MS,
    leadMs: TICKETS_LEAD_MS,
    exchangeMs: TICKETS_EXCHANGE_MS,
  });
  cluster.join({ tick: tickets.tick });
  return { keeper: createClusterKeeper({ link, prefix, log }), checks, tickets };
}
