/** What a session asks of a shard's memory of clients, and what it tells it. */

/**
 * How a session came to its backend: `cache` and `redis` remembered one; `hash` followed from the key, as nothing is
 * remembered, or what is does not serve; `timeout` did too, as no answer came in time.
 */
export type StickyFound = 'cache' | 'redis' | 'hash' | 'timeout';

/** What is remembered under a key. */
export interface Recalled {
  /** Null where nothing is. */
  readonly backend: string | null;
  readonly found: StickyFound;
  /** What this shard remembered, and what does not serve any more. */
  readonly gone: string | null;
}

export interface StickyQuestion {
  readonly pool: string;
  readonly key: string;
  readonly timeoutMs: number;
}

export interface StickyClaim {
  readonly pool: string;
  readonly key: string;
  readonly backend: string;
  /** A backend that does not serve any more; if it is what is remembered, the claim takes its place. */
  readonly insteadOf: string | null;
  readonly ttlMs: number;
}

/** A shard's memory. */
export interface StickyMemory {
  /**
   * Calls back once, perhaps within this call, and perhaps late: who has no more time calls off with what is returned.
   * `serves` says whether a backend of that name would take the session.
   */
  recall(
    question: StickyQuestion,
    serves: (backend: string) => boolean,
    answered: (recalled: Recalled) => void,
  ): () => void;
  /** Remembers a backend that has greeted. Where the cluster remembers another, that one is learnt for the next time. */
  claim(claim: StickyClaim, onLost: () => void): void;
}
