/**
 * Limits on backends that hold over the cluster: blocks of slots, leased from Redis ahead of need. The shards take slots
 * within the grant on the board and never ask anybody; this, in the control plane, keeps the grant a little above what
 * is taken. Without Redis the grant ends before another instance could be given the same slots: then no new session
 * goes to that backend from here until Redis answers, and those it has go on.
 */
import type { Config } from '../config/config.ts';
import { type Board, NO_GRANT } from '../core/board.ts';
import type { MonotonicMs } from '../core/clock.ts';
import { endGrant, lowerGrant, raiseGrant, takeWants } from '../core/grant.ts';
import type { ShardSnapshot } from '../shard/snapshot.ts';
import { nameOf } from './board-load.ts';
import type { Keys } from './keys.ts';
import {
  MAX_INSTANCES,
  SLOT_BACKENDS_A_COMMAND,
  SLOT_IDLE,
  SLOT_LEASE_MS,
  SLOT_RENEWAL,
  SLOT_USE,
} from './limits.ts';
import type { ClusterLog, Link } from './link.ts';
import { loadScript } from './script.ts';
import { hasTooMany, type SlotUse, wantedSlots } from './slot-policy.ts';

export interface LeasesOptions {
  readonly link: Pick<Link, 'run' | 'ask'>;
  readonly keys: Keys;
  readonly incarnation: string;
  readonly board: Board;
  /** How many instances the cluster has now; 0 where that is not known. */
  readonly instances: () => number;
  readonly log: ClusterLog;
  readonly now: MonotonicMs;
  /** Another length than SLOT_LEASE_MS; the same at all instances. */
  readonly leaseMs?: number;
}

export interface Leases {
  prepare(config: Config, snapshot: ShardSnapshot): void;
  use(config: Config, snapshot: ShardSnapshot): void;
  /** Looks at what is taken, and asks for more or gives back where that is due. Waits for nothing. */
  tick(nowMs: number): void;
  /** Resolves when no command is under way. */
  settled(): Promise<void>;
  /** The leases end now. */
  leave(): Promise<void>;
  /** Slots that may be taken at a backend; null where its limit does not hold over the cluster. */
  grantAt(pool: string, backend: string): number | null;
  /** How often a session found only the grant in its way, since the start. */
  hitsAt(pool: string, backend: string): number;
}

interface Cap {
  readonly name: string;
  readonly row: number;
  readonly poolRow: number;
  limit: number;
  /** Slots that are this instance's: the grant, as far as Redis knows or is about to learn. */
  held: number;
  taken: number;
  growth: number;
  waiting: boolean;
  othersWait: boolean;
  tooManySinceMs: number | null;
  /** Not asked for more before that. */
  askAtMs: number;
  hits: number;
  /** No longer limited by the configuration; given back as its sessions end. */
  isGone: boolean;
}

interface Ask {
  readonly cap: Cap;
  readonly held: number;
  readonly wanted: number;
  readonly waiting: boolean;
}

const script = loadScript('leases');

export function createLeases(options: LeasesOptions): Leases {
  const { board, incarnation, instances, keys, link, log, now, leaseMs = SLOT_LEASE_MS } = options;
  const caps = new Map<string, Cap>();
  let epoch = '';
  let seq = 0;
  /** When the last command was sent that renewed the lease on all that is held. */
  let renewedAtMs = Number.NEGATIVE_INFINITY;
  let isValid = false;
  /** When it last was; null before the first look. */
  let validAtMs: number | null = null;
  let isTold = false;
  /** Until when Redis grants nothing new. */
  let quietUntilMs = 0;
  let nextSyncMs = 0;
  let isOver = false;
  let turn: Promise<void> | null = null;

  const taken = ({ row }: Cap): number => Atomics.load(board.backendSlots, row);

  const limited = (config: Config, snapshot: ShardSnapshot) =>
    snapshot.pools.flatMap(pool => {
      const backends = config.pools.find(({ name }) => name === pool.name)?.backends ?? [];
      return pool.backends.map(backend => {
        const max = backends.find(({ name }) => name === backend.name)?.maxConnections;
        const limit = max?.scope === 'cluster' ? max.count : null;
        return { name: nameOf(pool, backend), row: backend.row, poolRow: pool.row, limit };
      });
    });

  const add = (config: Config, snapshot: ShardSnapshot): void => {
    const places = limited(config, snapshot);
    const owners = new Map(places.map(({ name, row }) => [row, name]));
    // A row is given to another backend once its sessions are over.
    for (const { name, row } of caps.values()) if ((owners.get(row) ?? name) !== name) caps.delete(name);
    for (const { limit, ...place } of places) {
      if (limit === null) continue;
      const known = caps.get(place.name);
      if (known?.row === place.row) {
        if (known.isGone) known.held = lowerGrant(board, known.row, 0);
        known.limit = limit;
        known.isGone = false;
        continue;
      }
      const held = lowerGrant(board, place.row, 0);
      caps.set(place.name, {
        ...place,
        limit,
        held,
        taken: held,
        growth: 0,
        waiting: false,
        othersWait: false,
        tooManySinceMs: null,
        askAtMs: 0,
        hits: 0,
        isGone: false,
      });
      nextSyncMs = 0;
    }
  };

  /** Others may be given these slots soon: no new session takes one. */
  const lapse = (): void => {
    // Told at once, whereas at the start Redis has a moment to answer.
    if (isValid) validAtMs = Number.NEGATIVE_INFINITY;
    isValid = false;
    epoch = '';
    for (const cap of caps.values()) if (!cap.isGone) cap.held = lowerGrant(board, cap.row, 0);
  };

  const tell = (nowMs: number): void => {
    if (isValid) validAtMs = nowMs;
    validAtMs ??= nowMs;
    if (isValid === !isTold || (!isValid && nowMs - validAtMs < 2 * leaseMs * SLOT_RENEWAL)) return;
    isTold = !isValid;
    const fields = { event: 'slots', backends: caps.size };
    if (isTold) log.warn(fields, 'limits over the cluster: without redis, no new sessions at those backends');
    else log.info(fields, 'limits over the cluster: slots are leased again');
  };

  const look = (cap: Cap, nowMs: number): Ask | null => {
    const before = cap.taken;
    cap.taken = taken(cap);
    cap.growth = Math.max(cap.taken - before, Math.floor(cap.growth * 0.9));
    const hits = takeWants(board, cap.row);
    cap.hits += hits;
    cap.waiting = hits > 0;
    if (cap.isGone) {
      cap.held = cap.taken;
      return null;
    }
    if (!isValid) return null;
    const waiting = cap.waiting ? Math.max(1, Atomics.load(board.poolQueued, cap.poolRow)) : 0;
    const use: SlotUse = { ...cap, waiting, instances: instances(), idleMs: 0 };
    if (!hasTooMany(use)) cap.tooManySinceMs = null;
    else cap.tooManySinceMs ??= nowMs;
    const idleMs = cap.tooManySinceMs === null ? 0 : nowMs - cap.tooManySinceMs;
    const wanted = wantedSlots({ ...use, idleMs }, leaseMs * SLOT_IDLE);
    if (wanted < cap.held) {
      // Given up here first: whatever becomes of the command, nobody takes them any more.
      cap.held = lowerGrant(board, cap.row, wanted);
      return { cap, held: cap.held, wanted: cap.held, waiting: false };
    }
    if (wanted === cap.held || nowMs < quietUntilMs || (!cap.waiting && nowMs < cap.askAtMs)) return null;
    cap.askAtMs = nowMs + leaseMs * SLOT_RENEWAL;
    return { cap, held: cap.held, wanted, waiting: cap.waiting };
  };

  const send = async (asks: readonly Ask[], asserts: boolean): Promise<unknown[] | undefined> => {
    seq++;
    const keyList = [keys.slots, keys.slotLeases, keys.slotWants];
    const answer = await link.run(
      script,
      [...keyList, ...asks.map(({ cap }) => keys.slotsOf(cap.name))],
      [
        ...[incarnation, leaseMs, epoch, seq, asserts ? 1 : 0, MAX_INSTANCES],
        ...asks.flatMap(({ cap, held, wanted, waiting }) => [cap.limit, held, wanted, waiting ? 1 : 0]),
      ],
    );
    return Array.isArray(answer) ? answer : undefined;
  };

  const learn = (asks: readonly Ask[], answer: readonly unknown[]): void => {
    for (const [at, { cap }] of asks.entries()) {
      const slots = Number(answer[3 + at * 2]);
      cap.othersWait = answer[4 + at * 2] === 1 && !cap.waiting;
      // Where the lease has lapsed meanwhile, it is asserted anew first.
      if (!isValid || cap.isGone || !(slots > cap.held)) continue;
      cap.held = Math.min(slots, Math.max(cap.limit, cap.held));
      raiseGrant(board, cap.row, cap.held);
    }
  };

  const keeping = (cap: Cap): Ask => ({ cap, held: cap.held, wanted: cap.held, waiting: false });

  /** Redis does not know us, or is another: it is told all that is held, and until it knows nothing is renewed. */
  const assertAll = async (): Promise<void> => {
    if (!isValid) lapse();
    const sentMs = now();
    let asserted = '';
    let quietMs = 0;
    for (const asks of chunks([...caps.values()].map(keeping))) {
      const answer = await send(asks, true);
      if (answer?.[0] !== 'ok') return;
      const [, in_, quiet] = answer;
      // It changed again meanwhile.
      if (asserted !== '' && asserted !== in_) return;
      asserted = String(in_);
      quietMs = Number(quiet);
    }
    quietUntilMs = now() + quietMs;
    if (quietMs > leaseMs / 2 && asserted !== epoch) {
      const seconds = Math.ceil(quietMs / 1_000);
      const message = `limits over the cluster: redis is new or was reset, no slots are granted for ${seconds} s`;
      log.warn({ event: 'slots', seconds }, message);
    }
    epoch = asserted;
    renewedAtMs = sentMs;
    if (!isValid)
      for (const { isGone, row, held } of caps.values()) if (!isGone) raiseGrant(board, row, held);
    isValid = true;
  };

  /** `asks` are made now; `all` renews the rest with them. */
  const sync = async (asks: readonly Ask[], all: boolean): Promise<void> => {
    if (epoch === '') return assertAll();
    const asked = new Set(asks.map(({ cap }) => cap));
    const rest = all ? [...caps.values()].filter(cap => !asked.has(cap)).map(keeping) : [];
    const sentMs = now();
    for (const chunk of chunks([...asks, ...rest])) {
      const answer = await send(chunk, false);
      if (answer?.[0] === 'assert') return assertAll();
      if (answer?.[0] !== 'ok') return;
      quietUntilMs = now() + Number(answer[2]);
      learn(chunk, answer);
    }
    renewedAtMs = sentMs;
    for (const [name, { held, isGone }] of caps) if (all && isGone && held === 0) caps.delete(name);
  };

  return {
    prepare: add,
    use(config, snapshot) {
      add(config, snapshot);
      const places = limited(config, snapshot);
      const kept = new Set(places.flatMap(({ limit, name }) => (limit === null ? [] : [name])));
      for (const cap of caps.values()) cap.isGone = !kept.has(cap.name);
      for (const { limit, row } of places) {
        if (limit === null && Atomics.load(board.backendGrant, row) !== NO_GRANT) endGrant(board, row);
      }
    },
    tick(nowMs) {
      if (caps.size === 0 || isOver) return;
      if (isValid && nowMs - renewedAtMs >= leaseMs * SLOT_USE) lapse();
      tell(nowMs);
      if (turn !== null) return;
      const asks = [...caps.values()].map(cap => look(cap, nowMs)).filter(ask => ask !== null);
      const all = nowMs >= nextSyncMs;
      if (!all && (asks.length === 0 || epoch === '')) return;
      if (all) nextSyncMs = nowMs + leaseMs * SLOT_RENEWAL;
      turn = sync(asks, all)
        .catch(error =>
          log.warn({ event: 'slots', err: error }, 'slots could not be leased: a fault of smtplb'),
        )
        .then(() => {
          turn = null;
        });
    },
    settled: async () => void (await turn),
    async leave() {
      isOver = true;
      await turn;
      if (epoch !== '') await link.ask(client => client.zrem(keys.slotLeases, incarnation));
    },
    grantAt(pool, backend) {
      const cap = caps.get(nameOf({ name: pool }, { name: backend }));
      return cap === undefined || cap.isGone ? null : Math.max(0, Atomics.load(board.backendGrant, cap.row));
    },
    hitsAt: (pool, backend) => caps.get(nameOf({ name: pool }, { name: backend }))?.hits ?? 0,
  };
}

function chunks<T>(list: readonly T[]): T[][] {
  const found: T[][] = [];
  for (let at = 0; at < list.length; at += SLOT_BACKENDS_A_COMMAND) {
    found.push(list.slice(at, at + SLOT_BACKENDS_A_COMMAND));
  }
  return found;
}
