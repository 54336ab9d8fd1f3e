import type { Algorithm, BalancerView } from '../../lib/balancer/candidates.ts';
import { leastConnections } from '../../lib/balancer/least-connections.ts';
import type { BackendSnapshot } from '../../lib/pool/snapshot.ts';

/** Ways to choose that are compared. All but the program's own are here only to be compared with. */
export interface Strategy {
  readonly name: string;
  readonly says: string;
  readonly algorithm: (view: BalancerView) => Algorithm;
  /** Every instance sees at once what the others have: no exchange, no age. */
  readonly omniscient: boolean;
}

/** The least of what `loadOf` says; ties are broken at random. */
function least(view: BalancerView, loadOf: (backend: BackendSnapshot) => number): Algorithm {
  return candidates => leastOf(candidates, view.random, loadOf);
}

function leastOf(
  candidates: readonly BackendSnapshot[],
  random: () => number,
  loadOf: (backend: BackendSnapshot) => number,
): BackendSnapshot {
  let best = candidates[0] as BackendSnapshot;
  let bestLoad = Number.POSITIVE_INFINITY;
  let tied = 0;
  for (const backend of candidates) {
    const load = loadOf(backend) / backend.weight;
    if (load > bestLoad) continue;
    tied = load < bestLoad ? backend.weight : tied + backend.weight;
    if (load < bestLoad || random() * tied < backend.weight) best = backend;
    bestLoad = load;
  }
  return best;
}

/** One of the candidates at random, as their weights say. */
function byWeight(candidates: readonly BackendSnapshot[], random: () => number): BackendSnapshot {
  return leastOf(candidates, random, () => 0);
}

function total({ board }: BalancerView, { row }: BackendSnapshot): number {
  return (board.backendSlots[row] as number) + (board.backendOthers[row] as number);
}

export const STRATEGIES: readonly Strategy[] = [
  {
    name: 'omniscient',
    says: 'least connections where everybody knows everything at once: what cannot be beaten',
    algorithm: view => least(view, backend => total(view, backend)),
    omniscient: true,
  },
  {
    name: 'chosen',
    says: "the program's: own counts exact, others' interpreted by their age",
    algorithm: leastConnections,
    omniscient: false,
  },
  {
    name: 'plain',
    says: 'least connections, own exact and others as last heard: it herds',
    algorithm: view => least(view, backend => total(view, backend)),
    omniscient: false,
  },
  {
    name: 'own',
    says: 'least connections of own sessions only',
    algorithm: view => least(view, ({ row }) => view.board.backendSlots[row] as number),
    omniscient: false,
  },
  {
    name: 'two-choices',
    says: 'the better of two at random, own exact and others as last heard',
    algorithm: view => candidates =>
      leastOf([byWeight(candidates, view.random), byWeight(candidates, view.random)], view.random, backend =>
        total(view, backend),
      ),
    omniscient: false,
  },
  {
    name: 'random',
    says: 'by weight alone',
    algorithm: view => candidates => byWeight(candidates, view.random),
    omniscient: false,
  },
];
