/** What a shard remembers of the clients of its sticky pools, and how it asks and tells the rest of the cluster. */
import { createExpiringMap } from '../core/expiring-map.ts';
import { STICKY_CLAIMS, STICKY_ENTRIES } from '../core/limits.ts';
import type { Recalled, StickyClaim, StickyMemory, StickyQuestion } from '../session/sticky.ts';
import { renewEveryMs, type StickyKeeper, stickyId } from './sticky-keeper.ts';

/** Questions that are on their way at a time; what is asked meanwhile goes in one with the next. */
const BATCHES = 4;

interface Entry {
  readonly backend: string;
  /** When the cluster last said the same; before all time where it has not. */
  readonly confirmedMs: number;
}

interface Asker {
  readonly question: StickyQuestion;
  readonly gone: string | null;
  readonly answered: (recalled: Recalled) => void;
}

interface Claimed extends StickyClaim {
  readonly onLost: () => void;
}

export interface ShardStickyMemory extends StickyMemory {
  /** Tells what has been claimed since; once a tick. */
  flush(): void;
}

export function createStickyMemory(keeper: StickyKeeper, now: () => number): ShardStickyMemory {
  const cache = createExpiringMap<Entry>(STICKY_ENTRIES, now);
  const waiting = new Set<Asker>();
  let batches = 0;
  let claims = new Map<string, Claimed>();
  let isTelling = false;

  const ask = async (timeoutMs: number, askers: readonly Asker[]): Promise<void> => {
    batches++;
    const { backends, found } = await keeper.recall(
      askers.map(({ question }) => question),
      timeoutMs,
    );
    batches--;
    for (const [at, { gone, answered }] of askers.entries())
      answered({ backend: backends[at] ?? null, found, gone });
    if (waiting.size > 0) askNext();
  };

  const askNext = (): void => {
    if (batches >= BATCHES) return;
    const byTimeout = new Map<number, Asker[]>();
    for (const asker of waiting) {
      const { timeoutMs } = asker.question;
      const same = byTimeout.get(timeoutMs);
      if (same === undefined) byTimeout.set(timeoutMs, [asker]);
      else same.push(asker);
    }
    waiting.clear();
    for (const [timeoutMs, askers] of byTimeout) void ask(timeoutMs, askers);
  };

  const tell = async (told: ReadonlyMap<string, Claimed>): Promise<void> => {
    isTelling = true;
    const backends = await keeper.claim([...told.values()].map(({ onLost: _, ...claim }) => claim));
    isTelling = false;
    let at = 0;
    for (const [id, { backend, ttlMs, onLost }] of told) {
      const winner = backends?.[at++] ?? null;
      if (winner === null) continue;
      if (winner !== backend) onLost();
      cache.set(id, { backend: winner, confirmedMs: now() }, ttlMs);
    }
  };

  return {
    recall(question, serves, answered) {
      const id = stickyId(question);
      const known = cache.get(id)?.backend ?? null;
      if (known !== null && serves(known)) {
        answered({ backend: known, found: 'cache', gone: null });
        return () => {};
      }
      if (known !== null) cache.delete(id);
      const asker = { question, gone: known, answered };
      waiting.add(asker);
      askNext();
      return () => void waiting.delete(asker);
    },
    claim(claim, onLost) {
      const id = stickyId(claim);
      const known = cache.get(id);
      const isKnown = known?.backend === claim.backend;
      const confirmedMs = isKnown ? known.confirmedMs : Number.NEGATIVE_INFINITY;
      cache.set(id, { backend: claim.backend, confirmedMs }, claim.ttlMs);
      if (now() - confirmedMs < renewEveryMs(claim)) return;
      // The first of a tick is the first writer here, too, unless its backend has been given up since. Beyond the bound it
      // is the next session that claims.
      const first = claims.get(id);
      if (first === undefined && claims.size < STICKY_CLAIMS) claims.set(id, { ...claim, onLost });
      else if (first !== undefined && first.backend === claim.insteadOf)
        claims.set(id, { ...claim, insteadOf: first.insteadOf, onLost });
    },
    flush() {
      if (isTelling || claims.size === 0) return;
      const told = claims;
      claims = new Map();
      void tell(told);
    },
  };
}
