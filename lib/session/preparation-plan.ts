import type { BackendSnapshot, PoolSnapshot, PoolTls } from '../pool/snapshot.ts';

/** TLS towards the backends of a pool, ready to be used. */
export interface PlannedTls extends PoolTls {
  /** The last session of each backend, by row, for the next handshake with it. */
  readonly sessions: Map<number, Buffer>;
  /** By row: when (monotonic milliseconds) the certificate was seen and trusted. Sessions serve for a while only. */
  readonly trustedAtMs: Map<number, number>;
}

/** What connections to the backends of a pool go through before their greeting is the client's. */
export interface PreparationPlan {
  readonly tls: PlannedTls | null;
  /** Null: backends are not told by XCLIENT. */
  readonly xclient: { readonly required: boolean } | null;
  /**
   * With mode `may`, by row: until when (monotonic milliseconds) TLS is not tried at a backend where it failed.
   * At most one entry a backend.
   */
  readonly plainUntilMs: Map<number, number>;
  /** By row, whether the backend offered XCLIENT when last asked: a change is worth a line in the log. */
  readonly offersXclient: Map<number, boolean>;
}

/** The plans of one shard's pools. */
export interface Preparer {
  /** Null for a pool whose connections need nothing, which is found out by two comparisons. */
  planFor(pool: PoolSnapshot): PreparationPlan | null;
  /** Backends, as `pool/backend`, of which was told that they would believe a client's own XCLIENT. */
  readonly exposed: Set<string>;
}

export function createPreparer(): Preparer {
  const known = new Map<string, { pool: PoolSnapshot; key: string; plan: PreparationPlan }>();
  return {
    exposed: new Set(),
    planFor(pool) {
      if (pool.tls === null && pool.identity !== 'xclient') return null;
      const before = known.get(pool.name);
      if (before?.pool === pool) return before.plan;
      // A new snapshot says most often something else: a context is only made where what it is made of has changed.
      const key = keyOf(pool);
      const plan = before?.key === key ? before.plan : planOf(pool);
      known.set(pool.name, { pool, key, plan });
      return plan;
    },
  };
}

/** A backend that moved is another peer: its TLS session and what it offers are not the old one's. */
function keyOf({ tls, identity, xclientRequired, backends }: PoolSnapshot): string {
  const peers = backends.map(({ row, address, tlsName }: BackendSnapshot) => [row, address, tlsName]);
  return JSON.stringify([tls, identity, xclientRequired, peers]);
}

function planOf({ tls, identity, xclientRequired }: PoolSnapshot): PreparationPlan {
  return {
    tls: tls === null ? null : { ...tls, sessions: new Map(), trustedAtMs: new Map() },
    xclient: identity === 'xclient' ? { required: xclientRequired } : null,
    plainUntilMs: new Map(),
    offersXclient: new Map(),
  };
}
