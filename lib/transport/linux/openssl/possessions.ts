import { NOWHERE, type Place, type Releases } from './calls.ts';

/** What a thread owns of OpenSSL's, by what gives it back. */
export type Possession = 'session' | 'context' | 'store';

/** How many of each are noted: more sessions than have descriptors, as a rule; a context for each certificate in use. */
const ROOM: Readonly<Record<Possession, number>> = { session: 262_144, context: 8_192, store: 1 };
const KINDS = Object.keys(ROOM) as readonly Possession[];

/** Where an object is noted; -1 where there was no room. */
export type NotedAt = number;

/**
 * What one thread owns of OpenSSL's, told to other threads as well: a thread that dies takes its own memory along, and not
 * OpenSSL's, which belongs to the process. A thread ends between two calls and never within one. So an object is noted after
 * it was made, and struck out before it is freed: what dies in between is lost, and nothing is freed twice.
 */
export interface Possessions {
  note(kind: Possession, place: Place): NotedAt;
  /** It is about to be freed. */
  strike(kind: Possession, at: NotedAt): void;
}

/** Memory for it, of which the system gives only what is touched. */
export function openPossessions(): SharedArrayBuffer {
  const room = KINDS.reduce((sum, kind) => sum + ROOM[kind], 0);
  return new SharedArrayBuffer(room * Float64Array.BYTES_PER_ELEMENT);
}

/** For the thread that owns them. `memory` is empty. */
export function createPossessions(memory: SharedArrayBuffer): Possessions {
  const places = parts(memory);
  const free: Readonly<Record<Possession, number[]>> = { session: [], context: [], store: [] };
  const used: Record<Possession, number> = { session: 0, context: 0, store: 0 };
  return {
    note(kind, place) {
      const at = free[kind].pop() ?? used[kind]++;
      if (at >= ROOM[kind]) {
        used[kind]--;
        return -1;
      }
      places[kind][at] = place;
      return at;
    },
    strike(kind, at) {
      if (at < 0) return;
      places[kind][at] = NOWHERE;
      free[kind].push(at);
    },
  };
}

/** Frees what a thread that is gone owned, and empties the memory. Never while it runs. Returns how many objects it was. */
export function freeAbandoned(memory: SharedArrayBuffer, releases: Releases): number {
  const frees = { session: releases.sslFree, context: releases.contextFree, store: releases.storeFree };
  const all = parts(memory);
  let freed = 0;
  // Sessions first: they use the others.
  for (const kind of KINDS) {
    const places = all[kind];
    for (let at = 0; at < places.length; at++) {
      const place = places[at] as Place;
      if (place === NOWHERE) continue;
      places[at] = NOWHERE;
      frees[kind](place);
      freed++;
    }
  }
  return freed;
}

function parts(memory: SharedArrayBuffer): Readonly<Record<Possession, Float64Array>> {
  let from = 0;
  const part = (kind: Possession): Float64Array => {
    const places = new Float64Array(memory, from * Float64Array.BYTES_PER_ELEMENT, ROOM[kind]);
    from += ROOM[kind];
    return places;
  };
  return { session: part('session'), context: part('context'), store: part('store') };
}
