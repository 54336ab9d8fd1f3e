import type { Address } from '../core/address.ts';
import type { PoolSnapshot } from '../pool/snapshot.ts';
import type { SessionView } from '../session/record.ts';
import type { TransportName } from '../transport/fast.ts';
import type { SessionFilter, ShardSnapshot } from './snapshot.ts';
import type { InheritableSocket } from './sockets.ts';

/** All shards of an instance, as the control plane has them. Nothing here waits for a shard without a bound. */
export interface DataPlane {
  /** Addresses listened on, by listener name, with the ports that were given where 0 was asked for. */
  readonly listening: ReadonlyMap<string, readonly Address[]>;
  /** Sessions that are not closed. */
  readonly sessions: number;
  /**
   * Puts a snapshot into use, in all shards or in none. Sessions keep what they began with; new ones see the new.
   * Rejects, with nothing changed, with a sentence that names the address where one cannot be listened on.
   */
  update(snapshot: ShardSnapshot): Promise<void>;
  /**
   * Pools that are in use already, with other health, admin states or weights. Resolves when all shards that answer go
   * by them; never rejects.
   */
  publish(pools: readonly PoolSnapshot[]): Promise<void>;
  /** The sessions that are not over, the oldest first. A shard that does not answer is left out. */
  views(filter: SessionFilter): Promise<readonly SessionView[]>;
  /** Ends the sessions that a backend serves, and sends those that only dial it elsewhere. Returns how many it ended. */
  endSessions(pool: string, backend: string): Promise<number>;
  /** What a successor may inherit. */
  readonly inheritable: readonly InheritableSocket[];
  /** Stops accepting, soon, whatever a shard is doing. `handedOver` if a successor listens on the same sockets. */
  close(handedOver?: boolean): Promise<void>;
  /**
   * Stops accepting, refuses who waits, and resolves when the last session is over. `handedOver` as above.
   */
  drain(handedOver?: boolean): Promise<void>;
  /** Ends the sessions that are left; `drain` then resolves, soon, whatever a shard is doing. */
  cut(): void;
  readonly shards: readonly ShardState[];
}

export interface ShardState {
  readonly shard: number;
  readonly transport: TransportName;
  /** `restarting`: it was lost, and its successor is not there yet. `stuck`: its clock stands still. */
  readonly state: 'running' | 'restarting' | 'stuck';
  readonly sessions: number;
  /** How often it was replaced. */
  readonly restarts: number;
  /** Milliseconds since its clock ticked last; 0 while it is restarting. */
  readonly silentMs: number;
}

/** What becomes of a shard. */
export type ShardEvent = { readonly shard: number; readonly transport: TransportName } & (
  | {
      readonly event: 'lost';
      readonly error: unknown;
      readonly sessions: number;
      /** Until it is replaced. */
      readonly delayMs: number;
    }
  | { readonly event: 'not-replaced'; readonly error: unknown; readonly delayMs: number }
  | { readonly event: 'replaced' }
  | { readonly event: 'stuck'; readonly silentMs: number }
  | { readonly event: 'unstuck' }
);
