/** What an instance knows of its cluster: the body of `GET /api/v1/cluster`, and its short form in the status document. */

export interface ClusterDocument {
  readonly name: string;
  /** Null where no Redis is configured: the instance is alone, and the only one listed. */
  readonly redis: RedisStatus | null;
  /** By name; this instance among them. While Redis does not answer, those that were seen last. */
  readonly instances: readonly InstanceStatus[];
  /** What is wrong among them, in sentences. */
  readonly warnings: readonly string[];
}

export interface RedisStatus {
  readonly status: 'connecting' | 'reachable' | 'unreachable';
  /** Why it is not reachable; null otherwise. */
  readonly reason: string | null;
  readonly roundTripMs: number | null;
  readonly errors: number;
  readonly reconnects: number;
}

export interface InstanceStatus {
  readonly instance: string;
  readonly hostName: string;
  /** The one that answers. */
  readonly isSelf: boolean;
  readonly version: string;
  readonly state: 'running' | 'stopping';
  readonly generation: number;
  /** ISO 8601, by its own wall clock. */
  readonly startedAt: string;
  readonly shards: number;
  readonly transport: string;
  readonly sessions: number;
  readonly secondsSinceHeartbeat: number;
  /** Where its configuration is another one than that of the instance that answers; empty where it is the same. */
  readonly differences: readonly string[];
}

/** As the status document has it, once a second: nothing is asked for it. */
export interface ClusterSummary {
  readonly name: string;
  readonly redis: RedisStatus;
  /** Instances that live, this one included, as last heard. */
  readonly instances: number;
  readonly warnings: readonly string[];
}
