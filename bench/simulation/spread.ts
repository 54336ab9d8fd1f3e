/** How evenly the backends were loaded: the load of the fullest, by weight, over the average load. 1 is even. */
export interface Spread {
  /** Averaged over time. */
  readonly mean: number;
  /** So it was, or better, for 99 % of the time. */
  readonly p99: number;
  readonly worst: number;
  /** Sessions a backend of weight 1 had on the average. */
  readonly load: number;
}

export function createSpread(weights: readonly number[]) {
  const ratios: number[] = [];
  let loadSum = 0;
  return {
    /** The loads now; `away` is the row of a backend that does not serve, or -1. */
    sample(loads: Int32Array, away: number): void {
      let most = 0;
      let all = 0;
      let weight = 0;
      for (const [row, own] of weights.entries()) {
        if (row === away) continue;
        most = Math.max(most, (loads[row] as number) / own);
        all += loads[row] as number;
        weight += own;
      }
      ratios.push((most * weight) / Math.max(all, 1));
      loadSum += all / weight;
    },
    read(): Spread {
      const sorted = ratios.toSorted((a, b) => a - b);
      return {
        mean: ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length,
        p99: sorted[Math.floor(0.99 * (sorted.length - 1))] as number,
        worst: sorted.at(-1) as number,
        load: loadSum / ratios.length,
      };
    },
  };
}
