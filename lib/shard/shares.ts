import type { ListenerSnapshot } from '../session/snapshot.ts';

/** Whether sessions of a listener can come to a pool. */
export function leadsTo({ pool, routing }: ListenerSnapshot, name: string): boolean {
  return pool === name || routing?.routes.some(route => route.pool === name) === true;
}

/**
 * One shard's part of a number that holds over all of them. `place`: which it is, from 0, of the `places` shards that share
 * it; below 0 where it does not.
 */
export function shareOf(whole: number, place: number, places: number): number {
  return place < 0 ? 0 : Math.floor((whole + places - 1 - place) / places);
}
