import type { BackendSnapshot } from '../pool/snapshot.ts';
import type { Algorithm } from './candidates.ts';

/** Rendezvous hashing of the client's address. */
export function sourceHash(): Algorithm {
  return (candidates, { client }) => rendezvous(candidates, client);
}

/**
 * Rendezvous hashing: a key goes to the backend with the highest score for it, so every instance agrees without
 * talking, and a backend that leaves moves only its own keys. Weighted as in Schindelhauer and Schomaker's
 * logarithmic method: score = weight / -ln(u), with u in (0, 1) from the hash of key and backend name.
 */
export function rendezvous(candidates: readonly BackendSnapshot[], key: string): BackendSnapshot {
  let best = candidates[0] as BackendSnapshot;
  let bestScore = -1;
  for (const backend of candidates) {
    const score = backend.weight / -Math.log(unitHash(`${key}|${backend.name}`));
    if (score > bestScore) [best, bestScore] = [backend, score];
  }
  return best;
}

/** A number in (0, 1), the same on every machine: FNV-1a over the characters, then a 32-bit finalizer. */
export function unitHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  // FNV alone hardly changes the high bits for texts that differ at their end (MurmurHash3's fmix32 mends that).
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return ((hash >>> 0) + 0.5) / 2 ** 32;
}
