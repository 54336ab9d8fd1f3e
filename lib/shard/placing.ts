/**
 * Who gets which listening socket. Each shard has one of its own on every address, so that the kernel spreads clients
 * over them; a socket that cannot be had twice (handed down from elsewhere, a Unix path) is duplicated, or else one
 * shard serves it alone.
 */
import { fstatSync } from 'node:fs';
import { formatAddress } from '../core/address.ts';
import {
  type BoundSocket,
  closeUntaken,
  type InheritedSocket,
  type SocketPlaces,
  type TakeInherited,
  type WantedSocket,
} from './sockets.ts';

/** Another descriptor of the same socket; null where this process cannot make one. */
export type Duplicate = ((descriptor: number) => number) | null;

/** A shard that is to listen, and what it listens on already. */
export interface Place {
  readonly bound: readonly BoundSocket[];
}

/** All that was handed down for these, by key; the first of each, and then whatever else is bound there. */
export function inheritedFor(
  wanted: readonly WantedSocket[],
  take: TakeInherited,
): Map<string, InheritedSocket[]> {
  const found = new Map<string, InheritedSocket[]>();
  let asked = wanted;
  for (let again = false; asked.length > 0; again = true) {
    const sockets = take(
      asked.map(({ listener, address }) => ({ listener: listener.name, address: formatAddress(address) })),
      again,
    );
    const lucky = asked.filter((_, at) => sockets[at] !== undefined);
    for (const [at, { key }] of asked.entries()) {
      const socket = sockets[at];
      if (socket !== undefined) found.set(key, [...(found.get(key) ?? []), socket]);
    }
    asked = lucky;
  }
  return found;
}

/**
 * What each of `places` is to inherit: `sockets` are dealt out in turn, all of them, for nobody else would accept what
 * the kernel connects there. Whoever gets none has a duplicate; without duplicates it leaves the key to the others.
 */
export function deal(
  places: number,
  sockets: ReadonlyMap<string, readonly InheritedSocket[]>,
  duplicate: Duplicate,
): Pick<SocketPlaces, 'inherited' | 'left'>[] {
  return Array.from({ length: places }, (_, place) => {
    const inherited = new Map<string, readonly InheritedSocket[]>();
    const left = new Set<string>();
    for (const [key, all] of sockets) {
      const own = all.filter((_, at) => at % places === place);
      const [first] = all;
      if (own.length > 0) inherited.set(key, own);
      else if (duplicate === null || first === undefined) left.add(key);
      else inherited.set(key, [copyOf(first, duplicate)]);
    }
    return { inherited, left };
  });
}

/** Duplicates of what others listen on: for the shard that takes over from them, or stands beside them. */
export function copies(
  sockets: readonly BoundSocket[],
  duplicate: Duplicate,
): Map<string, InheritedSocket[]> {
  const found = new Map<string, InheritedSocket[]>();
  if (duplicate === null) return found;
  for (const { key, descriptor, foreign } of sockets) {
    if (descriptor === undefined) continue;
    found.set(key, [...(found.get(key) ?? []), copyOf({ descriptor, foreign }, duplicate)]);
  }
  return found;
}

function copyOf(
  { descriptor, foreign }: InheritedSocket,
  duplicate: NonNullable<Duplicate>,
): InheritedSocket {
  return { descriptor: duplicate(descriptor), foreign };
}

/** A duplicate on its way to a thread, and what tells whether its number still means that socket. */
export interface GivenCopy {
  readonly descriptor: number;
  readonly inode: number;
}

export function givenCopies(copied: ReadonlyMap<string, readonly InheritedSocket[]>): readonly GivenCopy[] {
  return [...copied.values()]
    .flat()
    .map(({ descriptor }) => ({ descriptor, inode: fstatSync(descriptor).ino }));
}

/**
 * Closes those that a thread which is gone had been given and had not come to know of. What it knew of has been closed
 * with it, and such a number may be somebody else's by now.
 */
export function closeForgotten(given: readonly GivenCopy[]): void {
  closeUntaken(given.filter(({ descriptor, inode }) => inodeOf(descriptor) === inode));
}

function inodeOf(descriptor: number): number | null {
  try {
    return fstatSync(descriptor).ino;
  } catch {
    return null;
  }
}

/** Ports that were given where 0 is written, by key. */
export function givenPorts(bound: readonly BoundSocket[]): Map<string, number> {
  return new Map(
    bound.flatMap(({ key, address }) => (address.family === 'unix' ? [] : [[key, address.port] as const])),
  );
}
