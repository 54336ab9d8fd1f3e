import { ageOfOthersMs, beliefInOthers } from '../core/others.ts';
import type { BackendSnapshot } from '../pool/snapshot.ts';
import type { Algorithm, BalancerView } from './candidates.ts';
import { waterLevel } from './water-level.ts';

/**
 * Sessions reckoned for each that the others are expected to have begun unseen. Corrections that come too late swing
 * about their aim where they are strong, and let chance grow where they are weak; for a process that is corrected
 * with a delay (x' = -g x(t - T) + noise) the variance is least at g T = 0.74, which is 1 / 1.35. Too much of it costs
 * little, too little costs much.
 */
const UNSEEN_MARGIN = 1.35;

/**
 * The fewest sessions for its weight, over the whole cluster. An instance alone takes the least slots taken / weight;
 * ties are broken at random, in proportion to the weights, so that an idle pool fills as its weights say and instances
 * behind DNS do not all begin with the same backend.
 *
 * What other instances have is known only as it was a moment ago, and to all of them alike: if each took the backend
 * that looks the least loaded, all would take the same one until the news came round. So old counts are read as Dahlin
 * does ("Interpreting Stale Load Information", 1999): the sessions that the others are expected to have begun since
 * are poured over the loads like water over uneven ground, and each session goes to one of the backends under the
 * water with the probability of its depth there. With fresh counts hardly anything is poured, and the least loaded
 * wins; the older they are, the more even the chances.
 *
 * Own counts are exact at once, and nobody else can mend as soon what chance does to them; so the others' counts, and
 * what is poured, are scaled down to this instance's share of the sessions. An instance that has few sessions for its
 * backends cannot be even by itself, least of all where weights differ, and gives the others' counts more of their
 * weight: it is reckoned to have one session more a backend, times the square of the heaviest over the lightest weight.
 *
 * Counts older than OTHERS_BELIEVED_MS lose their influence by and by, until own counts decide alone.
 */
export function leastConnections(view: BalancerView): Algorithm {
  const { board, now, random } = view;
  let loads = new Float64Array(16);
  let weights = new Float64Array(16);

  return candidates => {
    const count = candidates.length;
    if (loads.length < count) {
      loads = new Float64Array(2 * count);
      weights = new Float64Array(2 * count);
    }
    const ageMs = ageOfOthersMs(board, now());
    const belief = beliefInOthers(ageMs);
    let own = 0;
    let lightest = Number.POSITIVE_INFINITY;
    let heaviest = 0;
    let others = 0;
    let othersPerSecond = 0;
    for (let at = 0; at < count; at++) {
      const { row, weight } = candidates[at] as BackendSnapshot;
      const slots = Atomics.load(board.backendSlots, row);
      loads[at] = slots / weight;
      weights[at] = weight;
      own += slots;
      lightest = Math.min(lightest, weight);
      heaviest = Math.max(heaviest, weight);
      if (belief === 0) continue;
      others += Atomics.load(board.backendOthers, row);
      othersPerSecond += Atomics.load(board.backendOthersRate, row) / 1_000;
    }
    const reckoned = own + count * (heaviest / lightest) ** 2;
    const share = belief * (reckoned / (reckoned + belief * others));
    const water = share === 0 ? 0 : (UNSEEN_MARGIN * share * othersPerSecond * ageMs) / 1_000;
    if (others > 0) addOthers(share, candidates);
    return water > 0 ? underWater(candidates, water) : leastLoaded(candidates);
  };

  function addOthers(share: number, candidates: readonly BackendSnapshot[]): void {
    for (const [at, { row, weight }] of candidates.entries()) {
      loads[at] = (loads[at] as number) + (share * Atomics.load(board.backendOthers, row)) / weight;
    }
  }

  function underWater(candidates: readonly BackendSnapshot[], water: number): BackendSnapshot {
    const level = waterLevel(loads, weights, candidates.length, water);
    let left = random() * water;
    for (const [at, backend] of candidates.entries()) {
      left -= backend.weight * Math.max(level - (loads[at] as number), 0);
      if (left < 0) return backend;
    }
    // So little water that it was lost in rounding.
    return leastLoaded(candidates);
  }

  function leastLoaded(candidates: readonly BackendSnapshot[]): BackendSnapshot {
    let best = candidates[0] as BackendSnapshot;
    let bestLoad = Number.POSITIVE_INFINITY;
    let tiedWeight = 0;
    for (const [at, backend] of candidates.entries()) {
      const load = loads[at] as number;
      if (load > bestLoad) continue;
      tiedWeight = load < bestLoad ? backend.weight : tiedWeight + backend.weight;
      // A reservoir of one: each of the tied ends up chosen with its share of their weight.
      if (load < bestLoad || random() * tiedWeight < backend.weight) best = backend;
      bestLoad = load;
    }
    return best;
  }
}
