/** A world to balance in. Times are in milliseconds of the world's own clock. */
export interface Scenario {
  readonly name: string;
  readonly instances: number;
  readonly backends: number;
  /** Sessions a backend of weight 1 has on the average. */
  readonly load: number;
  readonly sessionMs: number;
  readonly lengths: 'exponential' | 'heavy-tailed';
  /** From an instance's write to its being seen by the others; each message takes up to half as long again. */
  readonly delayMs: number;
  /** By backend, repeated as often as needed. */
  readonly weights: readonly number[];
  /** How much more traffic the first instance gets than each of the others; 1 for the same. */
  readonly favour: number;
  readonly bursts: { readonly everyMs: number; readonly forMs: number; readonly times: number } | null;
  /** One backend fails, its sessions are lost and come again elsewhere, and it returns. */
  readonly outage: { readonly fromMs: number; readonly untilMs: number } | null;
  /** An instance dies with all its sessions, which come again elsewhere; its counts are seen until the lease ends. */
  readonly deathAtMs: number | null;
  /** An instance joins; from then on clients find it as they find the others. */
  readonly birthAtMs: number | null;
  /** From here on the spread is measured. */
  readonly warmMs: number;
  readonly durationMs: number;
}

/** An ordinary cluster, and what is different in it. */
export function scenario(name: string, changes: Partial<Scenario> = {}): Scenario {
  return {
    name,
    instances: 100,
    backends: 10,
    load: 500,
    sessionMs: 30_000,
    lengths: 'exponential',
    delayMs: 100,
    weights: [1],
    favour: 1,
    bursts: null,
    outage: null,
    deathAtMs: null,
    birthAtMs: null,
    warmMs: 60_000,
    durationMs: 120_000,
    ...changes,
  };
}
