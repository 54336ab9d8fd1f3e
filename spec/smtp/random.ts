/** Numbers that look random and are the same for the same seed, so that a failure can be replayed. */
export interface Random {
  /** A whole number from 0 to `below` - 1. */
  below(below: number): number;
  /** One of the items, of which there is at least one. */
  pick<T>(items: readonly T[]): T;
}

/** The seed of this run: SMTPLB_SEED where it is set. */
export function seedOfRun(): number {
  const { SMTPLB_SEED } = process.env;
  const given = Number(SMTPLB_SEED);
  return Number.isInteger(given) && given > 0 ? given >>> 0 : Date.now() >>> 0;
}

/** A xorshift generator with 32 bits of state (Marsaglia, 2003). */
export function randomFrom(seed: number): Random {
  let state = seed | 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const below = (limit: number) => next() % limit;
  return { below, pick: items => items[below(items.length)] as (typeof items)[number] };
}
