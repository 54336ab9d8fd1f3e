/** Where all shards of an instance, or all instances of a cluster, remember together. */
import { createExpiringMap } from '../core/expiring-map.ts';
import { STICKY_ENTRIES } from '../core/limits.ts';
import type { StickyClaim, StickyFound, StickyQuestion } from '../session/sticky.ts';

export interface StickyRecall {
  /** One for each question; null where nothing is remembered. Empty where there is no answer. */
  readonly backends: readonly (string | null)[];
  readonly found: StickyFound;
}

export interface StickyKeeper {
  /** Resolves within `timeoutMs`, give or take a turn of the loop; never rejects. */
  recall(questions: readonly StickyQuestion[], timeoutMs: number): Promise<StickyRecall>;
  /** Who is remembered now: the one claimed, or the one that was there first. Null where nobody knows. Never rejects. */
  claim(claims: readonly StickyClaim[]): Promise<readonly (string | null)[] | null>;
}

/** Milliseconds after which use of an entry is told again, at most. */
const RENEW_MS = 10_000;

/** How often the use of an entry is told: often enough for its time, seldom enough for busy clients. */
export function renewEveryMs({ ttlMs }: { readonly ttlMs: number }): number {
  return Math.min(RENEW_MS, ttlMs / 4);
}

/** Names of pools have no slash in them. */
export function stickyId({ pool, key }: { readonly pool: string; readonly key: string }): string {
  return `${pool}/${key}`;
}

/** For an instance alone: what its shards remember together. */
export function createLocalKeeper(now: () => number): StickyKeeper {
  const entries = createExpiringMap<string>(STICKY_ENTRIES, now);
  return {
    recall: async questions => ({
      backends: questions.map(question => entries.get(stickyId(question)) ?? null),
      found: 'cache',
    }),
    claim: async claims =>
      claims.map(claim => {
        const id = stickyId(claim);
        const known = entries.get(id);
        const backend = known === undefined || known === claim.insteadOf ? claim.backend : known;
        if (backend === claim.backend) entries.set(id, backend, claim.ttlMs + renewEveryMs(claim));
        return backend;
      }),
  };
}
