/** How many slots of a limit over the cluster an instance should hold. Knows no Redis. */

/** What an instance has at a backend, and what is known of the others' need. */
export interface SlotUse {
  /** The limit, over all instances. */
  readonly limit: number;
  /** Slots that may be taken here, those taken included. */
  readonly held: number;
  readonly taken: number;
  /** Slots taken more than at the last look, at the most lately. */
  readonly growth: number;
  /** Sessions that want one of these slots now. */
  readonly waiting: number;
  /** Another instance has sessions that wait for slots here. */
  readonly othersWait: boolean;
  /** For how long more than enough has been idle, in milliseconds. */
  readonly idleMs: number;
  /** Instances that share the limit, this one included; at least 1. */
  readonly instances: number;
}

/**
 * Idle slots an instance likes to have: what it takes while an answer is on its way, and an eighth of its part of the
 * limit. With fewer it asks, for twice as many; three times as many are too many.
 */
export function reserveOf({ limit, instances, growth }: SlotUse): number {
  const part = Math.floor(limit / (8 * Math.max(1, instances)));
  return Math.min(Math.max(1, part, 3 * growth), Math.ceil(limit / 2));
}

export function hasTooMany(use: SlotUse): boolean {
  return use.held - use.taken > 3 * reserveOf(use);
}

/** The slots it should hold: more than now, fewer (never fewer than are taken), or as many. */
export function wantedSlots(use: SlotUse, mostIdleMs: number): number {
  const { held, idleMs, limit, othersWait, taken, waiting } = use;
  const reserve = reserveOf(use);
  const enough = Math.min(Math.max(limit, taken), taken + 2 * reserve);
  if (held > Math.max(limit, taken)) return Math.max(limit, taken);
  if (waiting > 0) return Math.max(held, Math.min(limit, taken + waiting + reserve));
  if (othersWait) return taken;
  if (held - taken < reserve) return Math.max(held, enough);
  return hasTooMany(use) && idleMs >= mostIdleMs ? enough : held;
}
