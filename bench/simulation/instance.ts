import { type Algorithm, type BalancerView, choose } from '../../lib/balancer/candidates.ts';
import { giveBack, openBoard } from '../../lib/core/board.ts';
import { createDecayingRate, type DecayingRate } from '../../lib/core/decaying-rate.ts';
import { applyOthers } from '../../lib/core/others.ts';
import type { PoolSnapshot } from '../../lib/pool/snapshot.ts';
import type { Chance } from './random.ts';

/** What an instance says of itself; by backend. */
export interface Report {
  readonly sessions: Int32Array;
  readonly sessionsPerSecond: Float64Array;
  readonly atMs: number;
}

/** One smtplb of the simulated cluster: a board, and the program's own way to choose. */
export interface Instance {
  readonly sessions: Int32Array;
  /** Takes a slot and says at which row, or -1 where nobody serves. */
  pick(pool: PoolSnapshot): number;
  release(row: number): void;
  /** What it has to say, or null where that has not changed since it last spoke, less than a heartbeat ago. */
  report(): Report | null;
  /** What the others said of themselves, summed up. */
  hear(sum: Report): void;
}

const HEARTBEAT_MS = 1_000;
/** Over how long arrivals are averaged for the others. */
const RATE_FADE_MS = 2_000;

export function createInstance(
  backends: number,
  algorithmOf: (view: BalancerView) => Algorithm,
  now: () => number,
  chance: Chance,
): Instance {
  const board = openBoard();
  const view: BalancerView = { board, now, random: chance.unit };
  const algorithm = algorithmOf(view);
  const sessions = board.backendSlots;
  const rates: DecayingRate[] = Array.from({ length: backends }, () => createDecayingRate(RATE_FADE_MS));
  const others = Array.from({ length: backends }, (_, row) => ({ row, sessions: 0, sessionsPerSecond: 0 }));
  let changed = true;
  let spokeAtMs = Number.NEGATIVE_INFINITY;
  return {
    sessions,
    pick(pool) {
      const chosen = choose(pool, { client: '', triedRows: [] }, view, algorithm);
      if (typeof chosen === 'string') return -1;
      rates[chosen.row]?.add(1, now());
      changed = true;
      return chosen.row;
    },
    release(row) {
      giveBack(board.backendSlots, row);
      changed = true;
    },
    report() {
      const atMs = now();
      if (!changed && atMs - spokeAtMs < HEARTBEAT_MS) return null;
      changed = false;
      spokeAtMs = atMs;
      return {
        sessions: sessions.slice(0, backends),
        sessionsPerSecond: Float64Array.from(rates, rate => rate.perSecond(atMs)),
        atMs,
      };
    },
    hear(sum) {
      for (const each of others) {
        each.sessions = sum.sessions[each.row] as number;
        each.sessionsPerSecond = sum.sessionsPerSecond[each.row] as number;
      }
      applyOthers(board, others, now() - sum.atMs, now());
    },
  };
}
