import t from 'tap';
import { type Client, createClientLimits, type PerClientLimits } from '../../lib/admission/client-limits.ts';
import { clientTableMemory } from '../../lib/admission/client-table.ts';
import { type Address, ipAddress } from '../../lib/core/address.ts';
import { TRACKED_CLIENTS } from '../../lib/core/limits.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';

const from = (host: string): Address => ipAddress(host, 4_711) as Address;
const UNBOUNDED: PerClientLimits = { connections: Number.POSITIVE_INFINITY, rate: null, ipv6Prefix: 64 };
const MX = from('192.0.2.1');

t.test(
  'a burst of the whole count is let in, whatever the numbers and the time of day, and not one more',
  async t => {
    const seed = seedOfRun();
    const random = randomFrom(seed);
    const faults: string[] = [];
    for (let round = 0; round < 2_000; round++) {
      const rate = { count: 1 + random.below(200), perMs: random.pick([1_000, 60_000, 3_600_000, 7_777]) };
      const limits = createClientLimits({ ...UNBOUNDED, rate, table: clientTableMemory({ clients: 1 }) });
      // A machine that has been up for months, and a clock with fractions.
      const nowMs = random.below(2 ** 32) + random.below(1_000) / 997;
      let admitted = 0;
      for (let at = 0; at < rate.count + 5; at++) if (typeof limits.enter(MX, nowMs) === 'object') admitted++;
      if (admitted !== rate.count)
        faults.push(`${rate.count} in ${rate.perMs} ms: ${admitted} were let in at once`);
    }
    t.strictSame(faults.slice(0, 5), [], `seed ${seed}`);
  },
);

t.test('over any length of time no client gets more than its rate and one burst, nor less', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  for (const rate of [
    { count: 60, perMs: 60_000 },
    { count: 7, perMs: 1_000 },
    { count: 1, perMs: 10_000 },
  ]) {
    const limits = createClientLimits({ ...UNBOUNDED, rate });
    const costMs = rate.perMs / rate.count;
    let nowMs = 5_000_000;
    const begunMs = nowMs;
    let admitted = 0;
    // It tries far too often, and not evenly.
    while (nowMs < begunMs + 100 * rate.perMs) {
      if (typeof limits.enter(MX, nowMs) === 'object') admitted++;
      nowMs += (costMs * random.below(1_000)) / 2_000;
    }
    const most = rate.count + (nowMs - begunMs) / costMs;
    t.comment(`${rate.count} in ${rate.perMs} ms: ${admitted} of at most ${most.toFixed(1)}`);
    t.ok(admitted <= most + 0.01, `never more, seed ${seed}`);
    // A burst of one cannot make up for coming late.
    const least = rate.count === 1 ? most / 1.5 : most - 2;
    t.ok(admitted >= least, 'and a client that always asks gets all of it');
  }
});

t.test('a session costs its share of the time, to the millisecond', async t => {
  const limits = createClientLimits({ ...UNBOUNDED, rate: { count: 2, perMs: 1_000 } });
  const enter = (nowMs: number) => typeof limits.enter(MX, nowMs) === 'object';
  t.strictSame([enter(0), enter(0), enter(0)], [true, true, false]);
  t.strictSame([enter(499), enter(500), enter(500)], [false, true, false], 'refused ones cost nothing');
  t.strictSame([enter(999), enter(1_000), enter(1_001)], [false, true, false]);
  t.strictSame(
    [enter(60_000), enter(60_000), enter(60_000)],
    [true, true, false],
    'a pause earns one burst, not more',
  );
});

t.test('sessions at a time: each that leaves makes room for one', async t => {
  const limits = createClientLimits({ ...UNBOUNDED, connections: 2 });
  const first = limits.enter(MX, 0) as Client;
  t.type(limits.enter(MX, 0), 'object');
  t.equal(limits.enter(MX, 0), 'client-limit');
  t.type(limits.enter(from('192.0.2.2'), 0), 'object', 'others are others');
  limits.leave(first);
  t.type(limits.enter(MX, 1), 'object');
  t.equal(limits.enter(MX, 1), 'client-limit');
});

t.test('sessions at a time and their sum agree with a naive model', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const table = clientTableMemory({ clients: 1 });
  const limits = createClientLimits({ ...UNBOUNDED, connections: 5, table });
  const inside = new Map<string, Client[]>();
  const faults: string[] = [];
  for (let round = 0; round < 50_000; round++) {
    const host = `10.0.0.${random.below(20)}`;
    const mine = inside.get(host) ?? [];
    inside.set(host, mine);
    if (random.below(2) === 0) {
      const client = limits.enter(from(host), round);
      if ((typeof client === 'object') !== mine.length < 5)
        faults.push(`${host} has ${mine.length}: ${client}`);
      if (typeof client === 'object') mine.push(client);
    } else {
      const client = mine.pop();
      if (client !== undefined) limits.leave(client);
    }
    const busy = [...inside.values()].filter(clients => clients.length > 0).length;
    const tracked = limits.tracked(round);
    if (tracked !== busy) faults.push(`${tracked} remembered, ${busy} here`);
  }
  for (const client of [...inside.values()].flat()) limits.leave(client);
  t.strictSame(faults.slice(0, 5), [], `seed ${seed}`);
  t.equal(limits.tracked(50_000), 0, 'nobody is remembered who left long ago');
});

t.test('a client that left is remembered until its rate is paid off', async t => {
  const limits = createClientLimits({ ...UNBOUNDED, rate: { count: 1, perMs: 1_000 } });
  limits.leave(limits.enter(MX, 0) as Client);
  t.equal(limits.tracked(10), 1);
  t.equal(limits.enter(MX, 20), 'client-rate', 'leaving does not help');
  limits.leave(limits.enter(MX, 1_000) as Client);
  t.equal(limits.tracked(1_999), 1);
  t.equal(limits.tracked(2_000), 0);
});

t.test(
  'sessions that came in before there was any limit do not count, later ones do, over every change',
  async t => {
    const limits = createClientLimits(UNBOUNDED);
    const early = limits.enter(MX, 0) as Client;
    limits.update({ ...UNBOUNDED, connections: 1 });
    const counted = limits.enter(MX, 0) as Client;
    t.equal(limits.enter(MX, 0), 'client-limit');
    limits.update(UNBOUNDED);
    const between = limits.enter(MX, 0) as Client;
    limits.update({ ...UNBOUNDED, connections: 2 });
    t.equal(limits.enter(MX, 0), 'client-limit', 'it has two that were counted');
    for (const client of [early, counted, between]) limits.leave(client);
    t.equal(limits.tracked(1), 0);
    t.equal(typeof limits.enter(MX, 1), 'object');
  },
);

t.test('another table, and those who came in by the old one leave it', async t => {
  const [one, two] = [clientTableMemory({ clients: 64 }), clientTableMemory({ clients: 64 })];
  const limits = createClientLimits({ ...UNBOUNDED, connections: 1, table: one });
  const first = limits.enter(MX, 0) as Client;
  limits.update({ ...UNBOUNDED, connections: 1, table: two });
  const second = limits.enter(MX, 0) as Client;
  t.equal(limits.enter(MX, 0), 'client-limit');
  limits.leave(first);
  t.equal(limits.enter(MX, 0), 'client-limit', 'its session there was not one here');
  limits.leave(second);
  limits.update({ ...UNBOUNDED, connections: 1, table: one });
  t.type(limits.enter(MX, 0), 'object');
});

t.test('clients told apart by another prefix are new clients', async t => {
  const host = from('2001:db8::1');
  const limits = createClientLimits({ ...UNBOUNDED, connections: 1 });
  limits.enter(host, 0);
  t.equal(limits.enter(from('2001:db8::2'), 0), 'client-limit');
  limits.update({ ...UNBOUNDED, connections: 1, ipv6Prefix: 128 });
  t.type(limits.enter(host, 0), 'object');
  t.type(limits.enter(from('2001:db8::2'), 0), 'object');
  t.equal(limits.enter(host, 0), 'client-limit');
});

/** 10.0.0.0/8, the `at`-th address. */
const stranger = (at: number): Address => ({
  family: 'ipv4',
  host: `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`,
  port: 1,
});

t.test('a flood from more addresses than are remembered is bounded in memory and in time', async t => {
  const limits = createClientLimits({ ...UNBOUNDED, rate: { count: 10, perMs: 3_600_000 }, connections: 1 });
  t.type(limits.enter(MX, 0), 'object');
  const flood = 50_000;
  const enter = (at: number) => {
    const client = limits.enter(stranger(at), 1);
    if (typeof client === 'object') limits.leave(client);
    return typeof client === 'object';
  };
  for (let at = 0; at < TRACKED_CLIENTS; at++) enter(at);
  const begunMs = performance.now();
  let admitted = 0;
  for (let at = 0; at < flood; at++) if (enter(TRACKED_CLIENTS + at)) admitted++;
  const eachUs = ((performance.now() - begunMs) / flood) * 1_000;
  t.comment(`${limits.tracked(2)} clients remembered, ${eachUs.toFixed(2)} us for each further one`);
  t.equal(admitted, flood);
  t.ok(limits.tracked(2) <= TRACKED_CLIENTS);
  t.ok(eachUs < 200, 'a stranger costs no walk over all the others');
  t.equal(limits.enter(MX, 3), 'client-limit', 'who has a session is not forgotten');
});

t.test('who owes least is forgotten first, and where all have sessions a stranger is refused', async t => {
  const table = clientTableMemory({ clients: 1 });
  const rate = { count: 10, perMs: 10_000 };
  const limits = createClientLimits({ ...UNBOUNDED, rate, table });
  const clients = Array.from({ length: 64 }, (_, at) => limits.enter(stranger(at), at) as Client);
  t.equal(limits.enter(MX, 64), 'client-limit', 'all 64 places have sessions');
  t.equal(limits.tracked(64), 64);
  for (const at of [7, 3, 9]) limits.leave(clients[at] as Client);
  t.type(limits.enter(MX, 64), 'object');
  const burst = (at: number) => {
    let admitted = 0;
    while (typeof limits.enter(stranger(at), 64) === 'object') admitted++;
    return admitted;
  };
  t.equal(burst(7), 9, 'still known');
  t.equal(burst(3), 10, 'forgotten, and so as good as new');
});

t.test('what a session costs here', async t => {
  const limits = createClientLimits({ ...UNBOUNDED, connections: 20, rate: { count: 60, perMs: 60_000 } });
  const addresses = Array.from({ length: 10_000 }, (_, at) =>
    at % 4 === 0 ? from(`2001:db8:${at.toString(16)}::1`) : stranger(at * 97),
  );
  const rounds = 30;
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const begunMs = performance.now();
    for (const address of addresses) limits.leave(limits.enter(address, round * 60_000) as Client);
    times.push((performance.now() - begunMs) / addresses.length);
  }
  const medianUs = (times.sort((a, b) => a - b)[rounds / 2] as number) * 1_000;
  t.comment(
    `${medianUs.toFixed(2)} us for a session to enter and to leave, 10,000 clients, a quarter of them IPv6`,
  );
  t.ok(medianUs < 100);
});
