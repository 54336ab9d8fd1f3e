import type { PoolSnapshot } from '../pool/snapshot.ts';
import type { ListenerSnapshot } from '../session/snapshot.ts';

/** All that a shard needs to know: plain values, made by the control plane, sent to every shard alike. */
export interface ShardSnapshot {
  /** The name spoken in refusals. */
  readonly hostName: string;
  /** Whether anybody reads session records. */
  readonly records: boolean;
  readonly listeners: readonly ListenerSnapshot[];
  /** Every pool that a listener names. */
  readonly pools: readonly PoolSnapshot[];
}

/** Which sessions an operator wants to see. */
export interface SessionFilter {
  readonly pool?: string;
  readonly backend?: string;
  /** At most this many, the oldest first. */
  readonly limit: number;
}
