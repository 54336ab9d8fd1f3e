import type { Algorithm } from './candidates.ts';

/**
 * Smooth weighted round-robin: every turn each candidate earns its weight, the richest is chosen and pays what all
 * earned. Weights 5:1:1 give a a b a c a a, not a a a a a b c. Each shard has a turn of its own.
 */
export function roundRobin(): Algorithm {
  const credit = new Map<number, number>();
  return candidates => {
    let best = candidates[0] as (typeof candidates)[number];
    let earned = 0;
    let bestCredit = Number.NEGATIVE_INFINITY;
    for (const backend of candidates) {
      const now = (credit.get(backend.row) ?? 0) + backend.weight;
      credit.set(backend.row, now);
      earned += backend.weight;
      if (now > bestCredit) [best, bestCredit] = [backend, now];
    }
    credit.set(best.row, bestCredit - earned);
    return best;
  };
}
