/** Pools, clocks and balancers for the specs of the balancer. */
import { type BackendEvent, Balancer } from '../../lib/balancer/balancer.ts';
import type { BalancerView } from '../../lib/balancer/candidates.ts';
import { ipAddress } from '../../lib/core/address.ts';
import { type Board, openBoard } from '../../lib/core/board.ts';
import { openShardStats } from '../../lib/core/shard-stats.ts';
import type { BackendSnapshot, PoolSnapshot } from '../../lib/pool/snapshot.ts';
import type { Random } from '../smtp/random.ts';

export const PASSIVE_HEALTH = { failures: 3, pauseMs: 1_000, maxPauseMs: 8_000 };

/** A backend; its name and row come from `row` unless told. */
export function backend(row: number, changes: Partial<BackendSnapshot> = {}): BackendSnapshot {
  const address = ipAddress('192.0.2.1', 2_500 + row);
  if (address === undefined) throw new Error('no address');
  return {
    row,
    name: `b${row}`,
    address,
    tlsName: `b${row}.example`,
    weight: 1,
    maxConnections: Number.POSITIVE_INFINITY,
    backup: false,
    health: 'up',
    admin: 'ready',
    ...changes,
  };
}

export function pool(
  backends: readonly BackendSnapshot[],
  changes: Partial<PoolSnapshot> = {},
): PoolSnapshot {
  return {
    row: 0,
    name: 'mx',
    balance: 'least-connections',
    identity: 'none',
    source: [],
    xclientRequired: false,
    tls: null,
    connect: { timeoutMs: 1_000, greetingTimeoutMs: 1_000, attempts: 3, retryOnGreeting: [] },
    queue: { size: 10, timeoutMs: 1_000 },
    passiveHealth: PASSIVE_HEALTH,
    slowStartMs: 0,
    backends,
    ...changes,
  };
}

/** A number in [0, 1) from a seeded generator. */
export const unit = (random: Random) => () => random.below(2 ** 32) / 2 ** 32;

export interface Bench {
  readonly balancer: Balancer;
  readonly board: Board;
  readonly clock: { nowMs: number };
  readonly events: BackendEvent[];
  readonly stats: ReturnType<typeof openShardStats>;
}

/** A balancer whose clock, chance and board a test holds. */
export function bench(
  snapshot: PoolSnapshot,
  { random = Math.random, board = openBoard() }: { random?: () => number; board?: Board } = {},
): Bench {
  const clock = { nowMs: 1_000 };
  const events: BackendEvent[] = [];
  const stats = openShardStats();
  const balancer = new Balancer(snapshot, {
    board,
    stats,
    now: () => clock.nowMs,
    random,
    onBackendEvent: event => events.push(event),
  });
  return { balancer, board, clock, events, stats };
}

export function view(random: () => number = Math.random): BalancerView {
  return { board: openBoard(), now: () => 1_000, random };
}

/** A client that has tried nothing yet. */
export const ANYONE = { client: '192.0.2.99', triedRows: [] };
