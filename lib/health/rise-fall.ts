import type { Health } from '../pool/snapshot.ts';

/** Up or down, and how long the last results have been of one kind. A value: each result makes another. */
export interface Standing {
  readonly health: Health;
  /** Results in a row that speak against `health`. */
  readonly against: number;
  /** Results of one kind in a row, the last one included. */
  readonly consecutive: number;
  readonly lastGood: boolean | null;
}

/**
 * Before its first result a backend is up and one failure from going down, as HAProxy has it: sessions need not wait
 * for checks after a start, and a dead backend is left at the first one.
 */
export function untested(fall: number): Standing {
  return { health: 'up', against: fall - 1, consecutive: 0, lastGood: null };
}

/** As others have found it: `rise` or `fall` results of our own are needed against that. */
export function taken(health: Health): Standing {
  return { health, against: 0, consecutive: 0, lastGood: null };
}

/** `fall` bad results in a row take a backend that is up down; `rise` good ones bring it back. */
export function judge(standing: Standing, good: boolean, rise: number, fall: number): Standing {
  const consecutive = standing.lastGood === good ? standing.consecutive + 1 : 1;
  const { health } = standing;
  const agrees = (health === 'up') === good;
  const against = agrees ? 0 : standing.against + 1;
  const turned = !agrees && against >= (health === 'up' ? fall : rise);
  if (!turned) return { health, against, consecutive, lastGood: good };
  return { health: health === 'up' ? 'down' : 'up', against: 0, consecutive, lastGood: good };
}
