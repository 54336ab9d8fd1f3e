/** Names that were not given, and names that were meant. */

/** The name of a pool that was given none. */
export const DEFAULT_POOL = 'default';
/** Where the admin listener is unless the file says otherwise. */
export const DEFAULT_ADMIN_LISTEN = '127.0.0.1:8404';

/**
 * Completes the names of listeners, in order: one without a name takes that of its pool where no other has it,
 * else `listener-N` by its place from 1. A name can still be there twice; that is a fault for others to find.
 */
export function listenerNames(
  listeners: readonly { readonly name?: string | undefined; readonly pool?: string | undefined }[],
): string[] {
  const taken = new Set(listeners.flatMap(({ name }) => (name === undefined ? [] : [name])));
  return listeners.map(({ name, pool }, at) => {
    if (name !== undefined) return name;
    const fallback = pool === undefined || taken.has(pool) ? `listener-${at + 1}` : pool;
    taken.add(fallback);
    return fallback;
  });
}

/**
 * The candidate that `given` was probably meant to be, case aside: at most a third of it is mistyped, or one is
 * the beginning of the other (`warning`, `warn`).
 */
export function nearest(given: string, candidates: Iterable<string>): string | undefined {
  if (given.length > 64) return undefined;
  const typed = given.toLowerCase();
  let best: string | undefined;
  let bound = Math.max(1, Math.floor(typed.length / 3)) + 1;
  for (const candidate of candidates) {
    const meant = candidate.toLowerCase();
    const shared = Math.min(typed.length, meant.length);
    const begins = shared >= 4 && typed.slice(0, shared) === meant.slice(0, shared);
    const distance = begins ? Math.min(bound - 1, editDistance(typed, meant)) : editDistance(typed, meant);
    if (distance < bound) [best, bound] = [candidate, distance];
  }
  return best;
}

/** Letters to insert, delete, replace or swap with their neighbour, to make `b` of `a`. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const best = Math.min(replaced, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = swapped ? Math.min(best, (before[j - 2] ?? 0) + 1) : best;
    }
    [before, above] = [above, row];
  }
  return above[b.length] ?? 0;
}
