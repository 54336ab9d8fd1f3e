import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import t from 'tap';
import { createClientKey, readClientKey } from '../../lib/admission/client-key.ts';
import {
  boundsOf,
  type Client,
  createClientLimits,
  type PerClientLimits,
} from '../../lib/admission/client-limits.ts';
import { enterTable, sessionsAt } from '../../lib/admission/client-slots.ts';
import {
  type ClientTable,
  clientTableMemory,
  forfeitClients,
  openClientTable,
} from '../../lib/admission/client-table.ts';
import { type Address, ipAddress } from '../../lib/core/address.ts';
import { TRACKED_CLIENTS } from '../../lib/core/limits.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { startThread } from '../support/checkout.ts';
import { eventually } from '../support/eventually.ts';
import { type Contest, type Outcome, openShared } from './client-table-worker.ts';

const THREADS = 4;
const from = (host: string): Address => ipAddress(host, 4_711) as Address;
const limited = (table: SharedArrayBuffer, connections: number, count = 0): PerClientLimits => ({
  connections,
  rate: count === 0 ? null : { count, perMs: 3_600_000 },
  ipv6Prefix: 64,
  table,
});
const sum = (values: Iterable<number>): number => [...values].reduce((a, b) => a + b, 0);

function startThreads(limits: PerClientLimits, clients: number, rounds: number, seed: number) {
  const shared = new SharedArrayBuffer(4 + 4 * clients + 4 * THREADS);
  const workers = Array.from({ length: THREADS }, (_, shard) => {
    const contest: Contest = { limits, shard, threads: THREADS, clients, rounds, seed: seed + shard, shared };
    return startThread('spec/admission/client-table-worker', contest);
  });
  return { workers, ...openShared(shared, clients) };
}

async function outcomes(workers: readonly Worker[]): Promise<Outcome[]> {
  return Promise.all(
    workers.map(async worker => {
      const [outcome] = (await once(worker, 'message')) as [Outcome];
      await once(worker, 'exit');
      return outcome;
    }),
  );
}

t.test(
  'shards that let the same clients in never pass a limit together, and leave nothing behind',
  async t => {
    const seed = seedOfRun();
    const memory = clientTableMemory({ shards: THREADS, clients: 1 });
    const { workers, inside } = startThreads(limited(memory, 5), 3, 50_000, seed);
    const seen = await outcomes(workers);
    const highest = Math.max(...seen.map(outcome => outcome.highest));
    const total = (key: keyof Outcome) => sum(seen.map(outcome => outcome[key]));
    t.comment(`${total('admitted')} let in, ${total('refused')} refused, at most ${highest} at once`);
    t.equal(highest, 5, `the limit was reached, and never passed (seed ${seed})`);
    t.ok(total('refused') > 0);
    const table = openClientTable(memory);
    t.equal(sum(table.held), 0);
    t.equal(sum(table.locks), 0);
    t.equal(sum(inside), 0);
  },
);

t.test('a rate is one rate over all shards, to the last session', async t => {
  const memory = clientTableMemory({ shards: THREADS, clients: 1 });
  const { workers } = startThreads(limited(memory, 1_000, 2_000), 7, 20_000, seedOfRun());
  const seen = await outcomes(workers);
  t.equal(sum(seen.map(({ admitted }) => admitted)), 7 * 2_000, '7 clients, 2,000 sessions each');
});

t.test('shards that are ended in the midst of it leave the table in order', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const memory = clientTableMemory({ shards: THREADS + 1, clients: 1 });
  const table = openClientTable(memory, THREADS);
  const { workers, rounds } = startThreads(limited(memory, 3), 4, Number.POSITIVE_INFINITY, seed);
  await eventually('all to be at it', () => rounds.every(count => count > 1_000));
  for (const [shard, worker] of workers.entries()) {
    for (let spin = random.below(200_000); spin > 0; spin--) Atomics.load(rounds, 0);
    await worker.terminate();
    forfeitClients(table, shard);
    const later = [...rounds.subarray(shard + 1)].map(count => count + 1_000);
    await eventually('the others to go on', () =>
      later.every((count, at) => (rounds[shard + 1 + at] as number) > count),
    );
  }
  t.equal(sum(table.held), 0, `nothing is held (seed ${seed})`);
  t.equal(sum(table.locks), 0);
  const door = createClientLimits(limited(memory, 3), THREADS);
  for (let client = 0; client < 4; client++) {
    const admitted = [0, 1, 2, 3].map(() => typeof door.enter(from(`192.0.2.${client}`), 2_000));
    t.strictSame(admitted, ['object', 'object', 'object', 'string']);
  }
});

t.test('wherever a shard is ended between two stores, others find the table in order', async t => {
  const key = createClientKey();
  const bounds = boundsOf(limited(clientTableMemory({ clients: 1 }), 2, 10));
  const stranger = (at: number): Address => from(`10.0.0.${at}`);
  // A set that has room, one that must forget somebody, one that knows the client.
  for (const [what, known] of [
    ['an empty set', 0],
    ['a full set', 64],
    ['a client that is known', 1],
  ] as const) {
    let deaths = 0;
    for (let stores = 0; ; stores++) {
      const memory = clientTableMemory({ shards: 2, clients: 1 });
      const alive = createClientLimits(limited(memory, 2, 10), 1);
      for (let at = 0; at < known; at++) alive.leave(alive.enter(stranger(at), 0) as Client);
      readClientKey(known === 1 ? stranger(0) : from('192.0.2.1'), 64, key);
      try {
        enterTable(mortal(openClientTable(memory, 0), stores), key, bounds, 1);
        break;
      } catch {
        deaths++;
      }
      const table = openClientTable(memory, 1);
      if (sum(table.locks) !== 1) t.fail(`${what}, ${stores} stores: the lock was not left behind`);
      t.equal(alive.enter(from('192.0.2.1'), 1), 'client-limit', 'it is said at once that the set is locked');
      forfeitClients(table, 0);
      const faults: string[] = [];
      for (const host of ['192.0.2.1', '10.0.0.0']) {
        const admitted = [0, 1, 2].map(() => typeof alive.enter(from(host), 1_000_000));
        if (admitted.join() !== 'object,object,string') faults.push(`${host}: ${admitted}`);
      }
      if (sum(table.held) !== 4) faults.push(`${sum(table.held)} sessions`);
      t.strictSame(faults, [], `${what}, after ${stores} stores`);
    }
    t.comment(`${what}: ended at ${deaths} places`);
    t.ok(deaths >= 3);
  }
});

/** A view whose owner dies when it has written `stores` times. */
function mortal(table: ClientTable, stores: number): ClientTable {
  let left = stores;
  const watched = <Column extends object>(column: Column): Column =>
    new Proxy(column, {
      get: (target, property) => Reflect.get(target, property, target),
      set(target, property, value) {
        if (left-- === 0) throw new Error('ended here');
        return Reflect.set(target, property, value, target);
      },
    });
  const { marks, words, kinds, others, untold, held, paidOffAtMs } = table;
  return {
    ...table,
    marks: watched(marks),
    words: watched(words),
    kinds: watched(kinds),
    others: watched(others),
    untold: watched(untold),
    held: watched(held),
    paidOffAtMs: watched(paidOffAtMs),
  };
}

t.test('a successor of a shard that died takes over its number, and the lock it left', async t => {
  const memory = clientTableMemory({ shards: 2, clients: 1 });
  const table = openClientTable(memory);
  const first = createClientLimits(limited(memory, 2), 0);
  first.enter(from('192.0.2.1'), 0);
  Atomics.store(table.locks, 0, 1);
  const second = createClientLimits(limited(memory, 2), 0);
  t.type(second.enter(from('192.0.2.1'), 0), 'object');
  t.equal(sum(table.locks), 0);
});

t.test('several shards agree with one map of all clients, whatever happens in which order', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const memory = clientTableMemory({ shards: 3, clients: 1_000 });
  let bounds = { ...limited(memory, 4), rate: { count: 6, perMs: 60 } };
  const doors = [0, 1, 2].map(shard => createClientLimits(bounds, shard));
  const model = new Map<string, { sessions: number; paidOffAtMs: number }>();
  const inside: { host: string; shard: number; client: Client }[] = [];
  const faults: string[] = [];
  let nowMs = 1_000;
  for (let round = 0; round < 100_000; round++) {
    nowMs += random.below(3);
    if (round % 10_000 === 9_999) {
      bounds = {
        ...bounds,
        connections: 1 + random.below(6),
        rate: { count: 1 + random.below(9), perMs: 60 },
      };
      for (const door of doors) door.update(bounds);
    }
    if (round % 5_000 === 4_999) {
      const shard = random.below(3);
      forfeitClients(openClientTable(memory), shard);
      for (let at = inside.length - 1; at >= 0; at--) {
        if (inside[at]?.shard !== shard) continue;
        const known = model.get(inside[at]?.host as string);
        if (known) known.sessions--;
        inside.splice(at, 1);
      }
    }
    if (random.below(2) === 0) {
      const gone = inside.splice(random.below(inside.length), 1)[0];
      if (gone === undefined) continue;
      doors[gone.shard]?.leave(gone.client);
      (model.get(gone.host) as { sessions: number }).sessions--;
      continue;
    }
    const host = random.pick([
      `10.0.${random.below(3)}.${random.below(9)}`,
      `2001:db8:${random.below(9)}::1`,
    ]);
    const shard = random.below(3);
    const found = doors[shard]?.enter(from(host), nowMs);
    const known = model.get(host) ?? { sessions: 0, paidOffAtMs: 0 };
    const costMs = bounds.rate.perMs / bounds.rate.count;
    const owedMs = Math.max(known.paidOffAtMs, nowMs) + costMs - nowMs;
    const expected =
      known.sessions >= bounds.connections
        ? 'client-limit'
        : owedMs > bounds.rate.perMs + costMs / 1_000
          ? 'client-rate'
          : 'object';
    if ((typeof found === 'object' ? 'object' : found) !== expected)
      faults.push(`${round}: ${host} ${JSON.stringify(known)} ${found}, not ${expected}`);
    if (typeof found !== 'object') continue;
    model.set(host, { sessions: known.sessions + 1, paidOffAtMs: owedMs + nowMs });
    inside.push({ host, shard, client: found });
  }
  t.strictSame(faults.slice(0, 5), [], `seed ${seed}`);
  t.equal(sum(openClientTable(memory).held), inside.length);
});

t.test('memory is what it says, and columns do not overlap', async t => {
  t.equal(clientTableMemory().byteLength / TRACKED_CLIENTS < 41.2, true);
  t.equal(clientTableMemory({ shards: 8 }).byteLength / TRACKED_CLIENTS < 41.2 + 7 * 4, true);
  t.throws(() => openClientTable(clientTableMemory({ shards: 2, clients: 1 }), 2), /no room for shard 2/);
  const table = openClientTable(clientTableMemory({ shards: 2, clients: 300 }), 1);
  t.equal(table.marks.length, 512);
  const columns = Object.values(table).filter(column => ArrayBuffer.isView(column)) as Int32Array[];
  for (const [at, column] of columns.entries()) column.fill(at + 1);
  t.ok(columns.every((column, at) => column.every(value => value === at + 1)));
  t.equal(sessionsAt(table, 511) > 0, true);
  const again = openClientTable(table.memory);
  t.strictSame([again.sets, again.shards, again.seed0], [table.sets, table.shards, table.seed0]);
});
