/** Checks that a few instances make for all: what the monitor needs to know of the others. */
import type { Health } from '../pool/snapshot.ts';
import type { Outcome } from './outcome.ts';

/** What is known of a backend: up or down, and the last result that led there. */
export interface Finding {
  readonly health: Health;
  readonly outcome: Outcome;
}

export interface CheckSharing {
  /**
   * The instances that check a backend, by their names, at most `count` of them; null where this one is alone, because
   * Redis does not answer.
   */
  checkers(id: string, count: number): readonly string[] | null;
  /** Whether this instance is one of them. */
  isChecker(id: string, count: number): boolean;
  /** What more than half of them have found; null where no such majority has. */
  verdict(id: string, count: number): Finding | null;
}

/** `pool/backend` */
export function checkedId({ pool, backend }: { readonly pool: string; readonly backend: string }): string {
  return `${pool}/${backend}`;
}
