/** Chance that can be replayed: the same seed gives the same numbers. */
export interface Chance {
  /** Uniform in [0, 1). */
  readonly unit: () => number;
  /** How many events happen where `mean` are expected (Poisson). */
  readonly poisson: (mean: number) => number;
  /** Exponential, or Pareto with shape 1.5 cut at a thousand means: most are short, and a few are very long. */
  readonly length: (shape: 'exponential' | 'heavy-tailed', mean: number) => number;
}

/** Pareto's shape: its variance is infinite, its mean is not. */
const SHAPE = 1.5;

/** A mulberry32 generator: 32 bits of state, and every seed is a good one. */
export function chanceFrom(seed: number): Chance {
  let state = seed >>> 0;
  const unit = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    unit,
    poisson(mean) {
      let events = 0;
      for (let left = mean; left > 0; left -= 16) {
        const bound = Math.exp(-Math.min(left, 16));
        for (let product = unit(); product > bound; product *= unit()) events++;
      }
      return events;
    },
    length(shape, mean) {
      const chance = 1 - unit();
      if (shape === 'exponential') return -mean * Math.log(chance);
      return Math.min((mean * (SHAPE - 1)) / SHAPE / chance ** (1 / SHAPE), 1_000 * mean);
    },
  };
}
