import type { Algorithm, BalancerView } from './candidates.ts';

/**
 * The fewest sessions for its weight: slots taken / weight. Ties are broken at random, in proportion to the weights,
 * so that an idle pool fills as its weights say and instances behind DNS do not all begin with the same backend.
 */
export function leastConnections(view: BalancerView): Algorithm {
  const { backendSlots } = view.board;
  return candidates => {
    let best = candidates[0] as (typeof candidates)[number];
    let bestLoad = Number.POSITIVE_INFINITY;
    let tiedWeight = 0;
    for (const backend of candidates) {
      const load = Atomics.load(backendSlots, backend.row) / backend.weight;
      if (load > bestLoad) continue;
      tiedWeight = load < bestLoad ? backend.weight : tiedWeight + backend.weight;
      // A reservoir of one: each of the tied ends up chosen with its share of their weight.
      if (load < bestLoad || view.random() * tiedWeight < backend.weight) best = backend;
      bestLoad = load;
    }
    return best;
  };
}
