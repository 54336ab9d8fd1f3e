/** An instance's part in the cluster: composed here, in the control plane; no session ever waits for any of it. */
import { randomUUID } from 'node:crypto';
import { hasClientLimits } from './admission/client-limits.ts';
import { type BoardLoad, createBoardLoad, nameOf } from './cluster/board-load.ts';
import { createClientExchange } from './cluster/client-limits.ts';
import { type Counts, createCounts, type Exchanged } from './cluster/counts.ts';
import { type Keys, keysOf } from './cluster/keys.ts';
import { createLeases, type Leases } from './cluster/leases.ts';
import { EXCHANGE_MS, LEAVE_MS } from './cluster/limits.ts';
import type { Link, LinkState } from './cluster/link.ts';
import type { Config } from './config/config.ts';
import type { Board } from './core/board.ts';
import type { MonotonicMs } from './core/clock.ts';
import type { Logger } from './core/log.ts';
import { ageOfOthersMs, beliefInOthers } from './core/others.ts';
import type { ShardStats } from './core/shard-stats.ts';
import type { ShardSnapshot } from './shard/snapshot.ts';

/**
 * Something else that this instance shares with the others. Whatever is in it may be missing; what it starts in
 * `exchanged` must be bounded, and nobody waits for it.
 */
export interface ClusterPart {
  /** The shards are about to go by this, if they can; what they go by now stays in use. */
  prepare?(config: Config, snapshot: ShardSnapshot): void;
  /** The shards go by this, or still do where they could not go by what was prepared. */
  use?(config: Config, snapshot: ShardSnapshot): void;
  /** Each EXCHANGE_MS, whether or not Redis answered. */
  tick?(nowMs: number): void;
  /** After each exchange that Redis answered. */
  exchanged?(exchanged: Exchanged): void;
  /** The sessions are over: the last thing to be said. Bounded by LEAVE_MS. */
  leave?(): Promise<void>;
}

export interface ClusterState {
  readonly redis: LinkState;
  /** Instances whose lease runs, this one included, as last heard. */
  readonly instances: number;
  /** Values in Redis that were no counts and were thrown away. */
  readonly nonsense: number;
  /** Milliseconds since the others' counts were true, on the average; null before the first answer. */
  readonly ageMs: number | null;
}

export interface ClusterPlane {
  readonly link: Link;
  readonly keys: Keys;
  /** Names this run of this instance in Redis, and no other: a successor and a restart have another. */
  readonly incarnation: string;
  /** Joins in what happens from now on. */
  join(part: ClusterPart): void;
  /** To be called before the data plane goes by a snapshot of another configuration. */
  prepare(config: Config, snapshot: ShardSnapshot): void;
  /** To be called after that, with what it goes by. */
  use(config: Config, snapshot: ShardSnapshot): void;
  /** The first exchange; pools are read from what `snapshot` returns whenever it is another one. */
  start(snapshot: () => ShardSnapshot): void;
  state(): ClusterState;
  /** Sessions that the other instances have at a backend; null where that is not known, or too long ago. */
  othersAt(pool: string, backend: string): number | null;
  /** Limits of backends that hold over the cluster. */
  readonly leases: Pick<Leases, 'grantAt' | 'hitsAt'>;
  /** Gives all leases back and closes the connection, soon, whatever Redis does. */
  stop(): Promise<void>;
}

export interface ClusterPlaneOptions {
  readonly board: Board;
  readonly shards: readonly ShardStats[];
  readonly logger: Logger;
  readonly now: MonotonicMs;
}

/**
 * Null where the configuration names no Redis. Connects at once, and does not wait for that: an instance starts, and
 * serves, whether Redis is there or not. @throws {Error} where a certificate's file cannot be read
 */
export async function openClusterPlane(
  { name, redis }: Config['cluster'],
  { board, shards, logger, now }: ClusterPlaneOptions,
): Promise<ClusterPlane | null> {
  if (redis === undefined) return null;
  // The client of Redis is a fifth of what a start would load.
  const { openLink } = await import('./cluster/link.ts');
  const link = openLink(redis, logger, now);
  const keys = keysOf(name);
  const incarnation = randomUUID();
  const load = createBoardLoad({ board, shards });
  const counts = createCounts({
    link,
    keys,
    incarnation,
    own: () => load.own(now()),
    isKnown: load.isKnown,
    log: logger,
    now,
  });
  const instances = () => counts.state().instances;
  const leases = createLeases({ link, keys, incarnation, board, instances, log: logger, now });
  const parts: ClusterPart[] = [
    leases,
    clientLimits({ link, prefix: keys.prefix, incarnation, instances, now }),
  ];
  const exchange = createExchange(load, counts, parts, logger, now);
  return {
    link,
    keys,
    incarnation,
    leases,
    join: part => void parts.push(part),
    prepare(config, snapshot) {
      for (const part of parts) part.prepare?.(config, snapshot);
    },
    use(config, snapshot) {
      for (const part of parts) part.use?.(config, snapshot);
    },
    start: exchange.start,
    state: () => {
      const ageMs = ageOfOthersMs(board, now());
      return { redis: link.state(), ...counts.state(), ageMs: Number.isFinite(ageMs) ? ageMs : null };
    },
    othersAt: (pool, backend) =>
      beliefInOthers(ageOfOthersMs(board, now())) === 0
        ? null
        : (load.others.sessions.get(nameOf({ name: pool }, { name: backend })) ?? 0),
    async stop() {
      const last = exchange.end();
      const left = parts.map(async part => part.leave?.());
      await soon(Promise.allSettled([last, ...left, counts.leave()]));
      link.close();
    },
  };
}

/** Limits on clients that hold over the cluster. */
function clientLimits(options: Parameters<typeof createClientExchange>[0]): ClusterPart {
  const clients = createClientExchange(options);
  let isStarted = false;
  return {
    use({ listeners }, snapshot) {
      const shared = listeners.filter(({ limits }) => limits.perClient.scope === 'cluster');
      const names = new Set(shared.map(({ name }) => name));
      clients.update(
        snapshot.listeners.flatMap(({ name, admission }) =>
          names.has(name) && hasClientLimits(admission.perClient)
            ? [{ name, limits: admission.perClient }]
            : [],
        ),
      );
    },
    tick() {
      if (!isStarted) clients.start();
      isStarted = true;
    },
    leave: clients.stop,
  };
}

/** One exchange at a time, every EXCHANGE_MS or as fast as Redis answers. */
function createExchange(
  load: BoardLoad,
  counts: Counts,
  parts: readonly ClusterPart[],
  logger: Logger,
  now: MonotonicMs,
) {
  let snapshot: () => ShardSnapshot;
  let seen: ShardSnapshot | null = null;
  let timer: NodeJS.Timeout | undefined;
  let ticker: NodeJS.Timeout | undefined;
  let isOver = false;
  let turn: Promise<void> = Promise.resolve();

  // A fault of the program: told, and tried again, as the rest of the instance is well.
  const fault = (error: unknown): void => logger.error({ err: error }, 'an exchange with the cluster failed');

  /** Has a clock of its own: an exchange may hang for as long as Redis does. */
  const tick = (): void => {
    for (const part of parts) {
      try {
        part.tick?.(now());
      } catch (error) {
        fault(error);
      }
    }
  };

  const exchange = async (): Promise<void> => {
    if (snapshot() !== seen) {
      seen = snapshot();
      load.use(seen.pools, now());
    }
    const exchanged = await counts.exchange();
    if (exchanged === undefined || isOver) return;
    load.apply(exchanged, now());
    for (const part of parts) part.exchanged?.(exchanged);
  };

  const next = (): void => {
    const begunMs = now();
    turn = exchange().catch(fault);
    void turn.then(() => {
      if (isOver) return;
      // Instances that were started together do not stay in step.
      const pauseMs = EXCHANGE_MS * (0.9 + Math.random() * 0.2);
      timer = setTimeout(next, Math.max(1, pauseMs - (now() - begunMs)));
    });
  };

  return {
    start(read: () => ShardSnapshot) {
      snapshot = read;
      next();
      ticker = setInterval(tick, EXCHANGE_MS);
    },
    end(): Promise<void> {
      isOver = true;
      clearTimeout(timer);
      clearInterval(ticker);
      return turn;
    },
  };
}

async function soon(done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise(resolve => {
    timer = setTimeout(resolve, LEAVE_MS);
  });
  await Promise.race([done, late]);
  clearTimeout(timer);
}
