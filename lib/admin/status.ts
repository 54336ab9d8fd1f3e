import type { AdminState, Health } from '../pool/snapshot.ts';
import type { ClusterSummary } from './cluster-status.ts';
import type { WordScope } from './operator-state.ts';

/**
 * What an instance says of itself: the body of `GET /api/v1/status`, of each event of `/api/v1/events`, and what the
 * status page, `smtplb status` and `smtplb top` show. Counters only grow; who reads twice has the rate.
 */
export interface StatusDocument {
  readonly instance: string;
  readonly version: string;
  /** ISO 8601, wall clock. */
  readonly startedAt: string;
  readonly now: string;
  readonly state: 'running' | 'stopping';
  /** How often a configuration has been put into use. */
  readonly generation: number;
  /** What the last reload came to, if there was one. */
  readonly lastReload: { readonly at: string; readonly ok: boolean; readonly message: string } | null;
  /** Null where no Redis is configured: the instance is alone. */
  readonly cluster: ClusterSummary | null;
  /** The threads that carry the sessions. */
  readonly shards: readonly ShardStatus[];
  readonly listeners: readonly ListenerStatus[];
  readonly pools: readonly PoolStatus[];
}

export interface ShardStatus {
  readonly shard: number;
  readonly transport: string;
  /** `restarting`: it was lost, and its successor is not there yet. `stuck`: it hangs. */
  readonly state: 'running' | 'restarting' | 'stuck';
  readonly sessions: number;
  /** How often it was replaced. */
  readonly restarts: number;
  /** Milliseconds since its clock ticked last; 0 while it is restarting. */
  readonly silentMs: number;
}

export interface ListenerStatus {
  readonly name: string;
  readonly pool: string;
  readonly addresses: readonly string[];
  readonly active: number;
  /** Null where the configuration names no bound. */
  readonly limit: number | null;
  readonly accepted: number;
  readonly bytesFromClients: number;
  readonly bytesFromBackends: number;
  readonly starttlsUsed: number;
  /** Sessions that ended, by cause; causes that never happened are left out. */
  readonly ended: Readonly<Record<string, number>>;
}

export interface PoolStatus {
  readonly name: string;
  readonly balance: string;
  readonly identity: string;
  readonly queued: number;
  readonly queueSize: number;
  readonly retries: number;
  readonly backends: readonly BackendStatus[];
}

export interface BackendStatus {
  readonly name: string;
  readonly address: string;
  /** As it counts now, and as the configuration has it. */
  readonly weight: number;
  readonly configuredWeight: number;
  readonly backup: boolean;
  readonly admin: AdminState;
  /** To whom that was said: to this instance, or to the cluster; null where nobody has said anything. */
  readonly adminScope: WordScope;
  readonly weightScope: WordScope;
  readonly health: Health;
  /** What checks last found; null where the pool has none. */
  readonly check: CheckStatus | null;
  /** Seconds until it is tried again after sessions failed there; null while it is trusted. */
  readonly ejectedForSeconds: number | null;
  readonly failuresInARow: number;
  readonly active: number;
  /** Sessions of the other instances there, a moment ago; null where there are none or they have not been heard. */
  readonly activeElsewhere: number | null;
  readonly limit: number | null;
  /** Connections that wait for a session; null where the pool keeps none. */
  readonly warm: number | null;
  readonly picks: number;
  readonly failures: number;
}

export interface CheckStatus {
  readonly type: string;
  readonly outcome: string | null;
  readonly detail: string;
  readonly durationMs: number;
  /** Results of the same kind in a row. */
  readonly consecutive: number;
  readonly secondsSinceChange: number;
  readonly certificateDaysLeft: number | null;
  /** Names of the instances that check it, where they share that; null where this one does by itself. */
  readonly checkers: readonly string[] | null;
  readonly isCheckedHere: boolean;
}
