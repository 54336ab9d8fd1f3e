import type { Address } from '../core/address.ts';
import type { PoolSnapshot } from '../pool/snapshot.ts';
import type { ListenerSnapshot } from '../session/snapshot.ts';
import { assertFree } from '../transport/net/listen.ts';
import { type CrewOptions, createCrew } from './crew.ts';
import type { DataPlane } from './data-plane.ts';
import {
  closeForgotten,
  copies,
  deal,
  type GivenCopy,
  givenCopies,
  givenPorts,
  inheritedFor,
} from './placing.ts';
import type { Seat } from './seat.ts';
import type { PreparedUpdate } from './shard.ts';
import { leadsTo, shareOf } from './shares.ts';
import type { ShardSnapshot } from './snapshot.ts';
import {
  cannotListen,
  closeUntaken,
  type InheritedSocket,
  type SocketPlaces,
  type TakeInherited,
  type WantedSocket,
  wantedSockets,
} from './sockets.ts';

export interface FleetOptions extends Omit<CrewOptions, 'revive'> {
  readonly takeInherited: TakeInherited;
  /** Whether a listener needs what only the `net` transport can do. */
  readonly needsNet: (listener: ListenerSnapshot, pool: PoolSnapshot) => boolean;
}

/** Milliseconds that an operator's question waits for a shard. */
const QUESTION_MS = 1_000;
/** Milliseconds for the sessions that were cut to be over; then the shard is ended as it is. */
const CUT_MS = 3_000;

/**
 * Starts the shards and gives them their first snapshot; rejects as `update` does. Where there are shards of two
 * transports, each listener is served by those of one.
 */
export async function startDataPlane(first: ShardSnapshot, options: FleetOptions): Promise<DataPlane> {
  const { custodian, needsNet, takeInherited } = options;
  const duplicate = custodian === null ? null : custodian.duplicate;
  let current: ShardSnapshot = { ...first, listeners: [], pools: [] };
  let ports = new Map<string, number>();
  /** Keys that not every shard listens on, because their sockets cannot be had twice. */
  let exclusive = new Set<string>();
  let draining = false;
  // One change at a time: two would take turns at the sockets.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(work);
    turn = done.catch(() => {});
    return done;
  };
  const assertRunning = (): void => {
    if (draining) throw new Error('the instance is stopping');
  };

  const revive = (seat: Seat): Promise<void> =>
    inTurn(async () => {
      assertRunning();
      await seat.start();
      const { handle } = seat;
      if (handle === null) throw new Error('it was lost at once');
      let given: readonly GivenCopy[] = [];
      try {
        const others = comrades(seat).filter(other => other !== seat);
        const bound = others.flatMap(other => other.handle?.bound ?? []);
        const taken = new Set(bound.map(({ key }) => key));
        const unix = bound.filter(({ address }) => address.family === 'unix');
        const part = partOf(current, seat);
        const wanted = new Set(wantedSockets(part.listeners).map(({ key }) => key));
        const kept = seat.kept.filter(({ key }) => wanted.has(key));
        const inherited = new Map([...copies(unix, duplicate), ...copies(kept, duplicate)]);
        given = givenCopies(inherited);
        const prepared = await handle.prepare(part, {
          inherited,
          ports,
          left: new Set([...exclusive].filter(key => taken.has(key))),
          shared: shared(seat),
        });
        await prepared.commit();
        seat.closeKept();
        assertRunning();
      } catch (error) {
        await handle.end();
        closeForgotten(given);
        throw error;
      }
    });

  const crew = createCrew({ ...options, revive });
  const { seats } = crew;
  const transports = new Set(seats.map(({ transport }) => transport));
  const comrades = (seat: Seat): Seat[] => seats.filter(({ transport }) => transport === seat.transport);
  const shared = (seat: Seat): boolean => seat.transport !== 'net' || comrades(seat).length > 1;

  const listenersOf = ({ listeners, pools }: ShardSnapshot, { transport }: Seat): ListenerSnapshot[] => {
    const byName = new Map(pools.map(pool => [pool.name, pool]));
    const isNet = (listener: ListenerSnapshot) =>
      needsNet(listener, byName.get(listener.pool) as PoolSnapshot);
    const isOnly = transports.size === 1;
    return listeners.filter(listener => isOnly || isNet(listener) === (transport === 'net'));
  };
  const partOf = (snapshot: ShardSnapshot, seat: Seat): ShardSnapshot => {
    const listeners = new Map(seats.map(each => [each, listenersOf(snapshot, each)]));
    const poolOf = (pool: PoolSnapshot): PoolSnapshot => {
      if (pool.warm === undefined) return pool;
      const serving = seats.filter(each => listeners.get(each)?.some(one => leadsTo(one, pool.name)));
      const size = shareOf(pool.warm.size, serving.indexOf(seat), serving.length);
      return { ...pool, warm: { ...pool.warm, size } };
    };
    return { ...snapshot, listeners: listeners.get(seat) ?? [], pools: snapshot.pools.map(poolOf) };
  };

  const boundNow = () => seats.flatMap(({ handle }) => handle?.bound ?? []);

  /** Sockets that come from elsewhere: handed down, or listened on by shards of the other transport until now. */
  const socketsFor = async (missing: readonly WantedSocket[], isShared: boolean) => {
    const keys = new Set(missing.map(({ key }) => key));
    const ours = boundNow().filter(({ descriptor, key }) => descriptor !== undefined && keys.has(key));
    const known = new Set(duplicate === null ? [] : ours.map(({ key }) => key));
    const strange = missing.filter(({ key }) => !known.has(key));
    const found = inheritedFor(strange, takeInherited);
    // A socket that shares its address is refused by nobody else who does: another instance would go unnoticed.
    for (const wanted of isShared ? strange : []) {
      const { address, key } = wanted;
      if (found.has(key) || address.family === 'unix' || address.port === 0) continue;
      await assertFree(address).catch(error => {
        closeUntaken([...found.values()].flat());
        throw cannotListen(wanted, error);
      });
    }
    return new Map<string, readonly InheritedSocket[]>([...found, ...copies(ours, duplicate)]);
  };

  /** Makes the shards of one transport ready; what is prepared is noted in `done`, also when it rejects. */
  const prepareKind = async (
    next: ShardSnapshot,
    kind: readonly Seat[],
    done: PreparedUpdate[],
    change: { readonly ports: Map<string, number>; readonly exclusive: Set<string> },
  ): Promise<void> => {
    const [leader] = kind;
    if (leader === undefined) return;
    const part = partOf(next, leader);
    if (leader.idle && part.listeners.length === 0) return;
    for (const outcome of await Promise.allSettled(kind.filter(({ idle }) => idle).map(seat => seat.start())))
      if (outcome.status === 'rejected') throw outcome.reason;
    const bound = new Set(kind.flatMap(({ handle }) => handle?.bound ?? []).map(({ key }) => key));
    const wanted = wantedSockets(part.listeners);
    const missing = wanted.filter(({ key }) => !bound.has(key));
    const dealt = deal(kind.length, await socketsFor(missing, shared(leader)), duplicate);
    const unasked = new Set(dealt);

    const prepare = async (seat: Seat, at: number, extra: Partial<SocketPlaces>): Promise<PreparedUpdate> => {
      const place = dealt[at];
      const { inherited = new Map(), left = new Set<string>() } = place ?? {};
      if (place !== undefined) unasked.delete(place);
      const prepared = await seat.handle?.prepare(partOf(next, seat), {
        inherited: new Map([...(extra.inherited ?? []), ...inherited]),
        ports: extra.ports ?? ports,
        left: new Set([...left, ...(extra.left ?? [])]),
        shared: shared(seat),
      });
      if (prepared === undefined) throw new Error('a shard was lost meanwhile');
      done.push(prepared);
      return prepared;
    };

    const own = (seat: Seat) => new Set(seat.handle?.bound.map(({ key }) => key));
    const has = own(leader);
    const before = new Set([...exclusive].filter(key => !has.has(key)));
    const lead = await prepare(leader, 0, { left: before }).catch(error => {
      for (const { inherited } of unasked) closeUntaken([...inherited.values()].flat());
      throw error;
    });
    for (const [key, port] of givenPorts(lead.bound)) change.ports.set(key, port);
    // A Unix path is bound once.
    const paths = lead.bound.filter(({ address, key }) => address.family === 'unix' && !has.has(key));
    const followers = await Promise.allSettled(
      kind.slice(1).map((seat, at) => {
        const got = dealt[at + 1]?.inherited;
        const inherited = copies(
          paths.filter(({ key }) => !got?.has(key)),
          duplicate,
        );
        const mine = own(seat);
        const left = paths.map(({ key }) => key).filter(key => !inherited.has(key) && !got?.has(key));
        const before = [...exclusive].filter(key => !mine.has(key));
        return prepare(seat, at + 1, { inherited, ports: change.ports, left: new Set([...left, ...before]) });
      }),
    );
    const failed = followers.find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
    for (const { key } of wanted) {
      const count = done.filter(({ bound }) => bound.some(socket => socket.key === key)).length;
      if (count < kind.length) change.exclusive.add(key);
    }
  };

  const update = async (next: ShardSnapshot): Promise<void> => {
    assertRunning();
    const living = seats.filter(({ handle, idle }) => handle !== null || idle);
    const change = { ports: new Map<string, number>(), exclusive: new Set<string>() };
    const done: PreparedUpdate[] = [];
    try {
      for (const transport of transports) {
        const kind = living.filter(seat => seat.transport === transport);
        if (kind.length === 0) throw new Error(`no ${transport} shard is running; one is being started`);
        await prepareKind(next, kind, done, change);
      }
      assertRunning();
    } catch (error) {
      await Promise.allSettled(done.map(prepared => prepared.abort()));
      throw error;
    }
    // From here on whoever replaces a lost shard begins with it.
    current = next;
    ports = change.ports;
    exclusive = change.exclusive;
    await Promise.allSettled(done.map(prepared => prepared.commit()));
  };

  const stop = (): void => {
    draining = true;
    crew.disband();
  };
  const drained = async (seat: Seat, handedOver: boolean): Promise<void> => {
    // A shard that is lost now has drained, in its way.
    await seat.handle?.drain(handedOver).catch(() => {});
    await seat.end();
  };

  const started = await Promise.allSettled(seats.filter(({ idle }) => !idle).map(seat => seat.start()));
  try {
    for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
    await inTurn(() => update(first));
  } catch (error) {
    stop();
    await Promise.all(seats.map(seat => seat.end()));
    throw error;
  }

  return {
    get listening() {
      const byListener = new Map<string, Map<string, Address>>();
      for (const { listener, key, address } of boundNow())
        byListener.set(listener, (byListener.get(listener) ?? new Map()).set(key, address));
      return new Map([...byListener].map(([name, addresses]) => [name, [...addresses.values()]]));
    },
    get sessions() {
      return seats.reduce((sum, seat) => sum + seat.sessions, 0);
    },
    update: next => inTurn(() => update(next)),
    async publish(pools) {
      current = { ...current, pools };
      await asked(crew.answering, seat => seat.handle?.publish(partOf(current, seat).pools));
    },
    async views(filter) {
      const found = await asked(crew.answering, seat => seat.handle?.views(filter));
      return found
        .flat()
        .sort((one, other) => other.ageMs - one.ageMs)
        .slice(0, filter.limit);
    },
    async endSessions(pool, backend) {
      const ended = await asked(crew.answering, seat => seat.handle?.endSessions(pool, backend));
      return ended.reduce((sum, count) => sum + count, 0);
    },
    get inheritable() {
      return boundNow().map(({ listener, configured, descriptor, foreign }) => ({
        listener,
        address: configured,
        descriptor,
        foreign,
      }));
    },
    async close(handedOver = false) {
      stop();
      await asked(crew.answering, seat => seat.handle?.close(handedOver));
    },
    async drain(handedOver = false) {
      stop();
      await Promise.all(seats.map(seat => drained(seat, handedOver)));
    },
    cut() {
      for (const { handle } of seats) handle?.cut();
      // Whoever hangs is not waited for.
      setTimeout(() => {
        for (const seat of seats) void seat.end();
      }, CUT_MS).unref();
    },
    get shards() {
      return crew.states;
    },
  };
}

/** The answers of those who give one in time. */
async function asked<T>(
  seats: readonly Seat[],
  question: (seat: Seat) => Promise<T> | undefined,
): Promise<T[]> {
  let late = (): void => {};
  const bound = new Promise<null>(resolve => {
    late = () => resolve(null);
  });
  const deadline = setTimeout(late, QUESTION_MS);
  const answers = await Promise.all(
    seats.map(seat => Promise.race([question(seat), bound]).catch(() => undefined)),
  );
  clearTimeout(deadline);
  return answers.filter(answer => answer !== null && answer !== undefined) as T[];
}
