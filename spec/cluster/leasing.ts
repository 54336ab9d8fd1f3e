/** Instances that lease slots: boards of their own, used as shards would use them, and a real Redis. */
import { randomUUID } from 'node:crypto';
import { keysOf } from '../../lib/cluster/keys.ts';
import { createLeases, type LeasesOptions } from '../../lib/cluster/leases.ts';
import { openLink } from '../../lib/cluster/link.ts';
import type { Config } from '../../lib/config/config.ts';
import { giveBack, openBoard, take } from '../../lib/core/board.ts';
import { monotonicMs } from '../../lib/core/clock.ts';
import type { ShardSnapshot } from '../../lib/shard/snapshot.ts';
import { backend, pool } from '../balancer/pools.ts';
import { eventually } from '../support/eventually.ts';
import type { Owner } from '../support/owner.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { type RedisServer, redisUrl } from '../support/redis.ts';

export const keys = keysOf('edge');
/** A tenth of the real one. */
export const LEASE_MS = 3_000;
export const LIMIT = 40;

export interface Instance {
  readonly incarnation: string;
  readonly log: ReturnType<typeof recordedLog>;
  readonly grant: () => number;
  readonly slots: () => number;
  readonly calls: () => number;
  /** As a session would: within the grant, or it is told that it wants more. */
  readonly enter: () => boolean;
  readonly exit: () => void;
  /** Looks ten times a second from now on. */
  readonly tick: () => Promise<void>;
  readonly leave: () => Promise<void>;
  readonly leases: ReturnType<typeof createLeases>;
  readonly cut: () => void;
}

export function instance(
  owner: Owner,
  port: number,
  options: Partial<LeasesOptions> = {},
  limit = LIMIT,
): Instance {
  const board = openBoard();
  const log = recordedLog();
  const link = openLink(redisUrl(port), log);
  owner.teardown(() => link.close());
  const incarnation = randomUUID();
  let calls = 0;
  let isCut = false;
  const leases = createLeases({
    link: {
      ask: link.ask,
      run(...args) {
        calls++;
        return isCut ? Promise.resolve(undefined) : link.run(...args);
      },
    },
    keys,
    incarnation,
    board,
    instances: () => 4,
    log,
    now: monotonicMs,
    leaseMs: LEASE_MS,
    ...options,
  });
  const pools = [pool([backend(0)])];
  const snapshot = { pools } as unknown as ShardSnapshot;
  const backends = [{ name: 'b0', maxConnections: { count: limit, scope: 'cluster' } }];
  const config = { pools: [{ name: 'mx', backends }] } as unknown as Config;
  leases.prepare(config, snapshot);
  leases.use(config, snapshot);
  const grant = () => Atomics.load(board.backendGrant, 0);
  return {
    incarnation,
    log,
    grant,
    leases,
    slots: () => Atomics.load(board.backendSlots, 0),
    calls: () => calls,
    cut: () => {
      isCut = true;
    },
    enter() {
      if (take(board.backendSlots, 0, grant())) return true;
      Atomics.add(board.backendWants, 0, 1);
      return false;
    },
    exit: () => giveBack(board.backendSlots, 0),
    async tick() {
      leases.tick(monotonicMs());
      await leases.settled();
    },
    leave: leases.leave,
  };
}

/** As if the cluster had been there for long: else nothing is granted for one lease. */
export async function settle({ cli }: RedisServer, backend = 'mx/b0'): Promise<void> {
  const run = /run_id:(\w+)/.exec(await cli('info', 'server'))?.[1] ?? '';
  const [seconds = ''] = (await cli('time')).split('\n');
  await cli('hset', keys.slots, 'run', run, 'epoch', 'e', 'now', `${seconds}000`, 'quiet', '0');
  await cli('hset', keys.slotsOf(backend), '@', 'e', '!', '0');
}

export const granted = (one: Instance, what: string, fits: (grant: number) => boolean) =>
  eventually(`${what}`, async () => {
    await one.tick();
    if (!fits(one.grant())) throw new Error(`the grant is ${one.grant()}`);
    return true;
  });

export async function fill(one: Instance, sessions: number): Promise<void> {
  for (let at = 0; at < sessions; at++)
    await eventually(`session ${at}`, async () => {
      if (one.enter()) return true;
      await one.tick();
      return false;
    });
}
