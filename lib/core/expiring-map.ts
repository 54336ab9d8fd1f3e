/** A map that forgets: each entry at its time, and the oldest ones early when it is full. */
export interface ExpiringMap<V> {
  /** Undefined once the entry's time is over. */
  get(key: string): V | undefined;
  /** The entry becomes the youngest, and lives for `ttlMs` from now. */
  set(key: string, value: V, ttlMs: number): void;
  delete(key: string): void;
  /** Entries held, those not yet noticed to be over included; never more than the bound. */
  readonly size: number;
}

/** How many of the oldest are looked at with each new entry: what is over goes faster than new ones come. */
const LOOKED_AT = 2;

export function createExpiringMap<V>(bound: number, now: () => number): ExpiringMap<V> {
  // In the order of their last `set`.
  const entries = new Map<string, { readonly value: V; readonly untilMs: number }>();

  const tidy = (nowMs: number): void => {
    let looked = 0;
    for (const [key, { untilMs }] of entries) {
      if (untilMs <= nowMs || entries.size > bound) entries.delete(key);
      if (++looked >= LOOKED_AT) return;
    }
  };

  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      if (entry.untilMs > now()) return entry.value;
      entries.delete(key);
      return undefined;
    },
    set(key, value, ttlMs) {
      const nowMs = now();
      entries.delete(key);
      entries.set(key, { value, untilMs: nowMs + ttlMs });
      tidy(nowMs);
    },
    delete: key => void entries.delete(key),
    get size() {
      return entries.size;
    },
  };
}
