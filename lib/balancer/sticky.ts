import type { Algorithm } from './candidates.ts';
import { rendezvous } from './source-hash.ts';

/**
 * Sticky sessions: the backend that is remembered for the session, as long as it is among the candidates: it serves,
 * it is not full, and the session has not tried it in vain. Else, and where nothing is remembered, rendezvous hashing
 * of the key: every instance comes to the same backend without a word, and when that one is full or gone, to the same
 * next one. A session without a key is left to `otherwise`.
 */
export function sticky(otherwise: Algorithm): Algorithm {
  return (candidates, request) => {
    const { stickyKey = null, preferred = null } = request;
    if (preferred !== null) {
      const remembered = candidates.find(({ name }) => name === preferred);
      if (remembered !== undefined) return remembered;
    }
    return stickyKey === null ? otherwise(candidates, request) : rendezvous(candidates, stickyKey);
  };
}
