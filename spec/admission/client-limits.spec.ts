import t from 'tap';
import {
  type Client,
  clientKey,
  createClientLimits,
  type PerClientLimits,
} from '../../lib/admission/client-limits.ts';
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
      const limits = createClientLimits({ ...UNBOUNDED, rate });
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
  limits.leave(first, 1);
  t.type(limits.enter(MX, 1), 'object');
  t.equal(limits.enter(MX, 1), 'client-limit');
});

t.test('sessions at a time and their sum agree with a naive model', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const limits = createClientLimits({ ...UNBOUNDED, connections: 5 });
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
      if (client !== undefined) limits.leave(client, round);
    }
    const busy = [...inside.values()].filter(clients => clients.length > 0).length;
    if (limits.tracked !== busy) faults.push(`${limits.tracked} remembered, ${busy} here`);
  }
  for (const client of [...inside.values()].flat()) limits.leave(client, 50_000);
  t.strictSame(faults.slice(0, 5), [], `seed ${seed}`);
  t.equal(limits.tracked, 0, 'nobody is remembered who left long ago');
});

t.test('a client that left is remembered until its rate is paid off', async t => {
  const limits = createClientLimits({ ...UNBOUNDED, rate: { count: 1, perMs: 1_000 } });
  limits.leave(limits.enter(MX, 0) as Client, 10);
  t.equal(limits.tracked, 1);
  t.equal(limits.enter(MX, 20), 'client-rate', 'leaving does not help');
  limits.leave(limits.enter(MX, 1_000) as Client, 2_000);
  t.equal(limits.tracked, 0);
});

t.test('who is one client: an IPv4 address, an IPv6 network', async t => {
  const key = (host: string, prefix = 64) => clientKey(from(host), prefix);
  t.equal(key('2001:db8::1'), key('2001:db8::ffff:1'));
  t.not(key('2001:db8:0:1::1'), key('2001:db8:0:2::1'));
  t.equal(key('::ffff:192.0.2.1'), key('192.0.2.1'));
  t.not(key('192.0.2.1'), key('192.0.2.2'));
  t.equal(key('2001:db8:0:ff00::1', 56), key('2001:db8:0:ffff::1', 56));
  t.not(key('2001:db8:0:fe00::1', 56), key('2001:db8:0:ff00::1', 56));
  t.equal(key('8000::', 1), key('ffff::', 1));
  t.not(key('7fff::', 1), key('8000::', 1));
  t.not(key('2001:db8::1', 128), key('2001:db8::2', 128));
  t.equal(clientKey({ family: 'unix', path: '' }, 64), 'unix', 'all on a Unix socket are one');
});

t.test('an IPv6 network is as long as it says, bit by bit', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const faults: string[] = [];
  for (let round = 0; round < 5_000; round++) {
    const groups = Array.from({ length: 8 }, () => random.below(65_536));
    groups[0] = 0x2001;
    const prefix = 1 + random.below(128);
    const bit = random.below(128);
    const other = [...groups];
    other[bit >> 4] = (other[bit >> 4] as number) ^ (0x8000 >> (bit & 15));
    const [a, b] = [groups, other].map(g => clientKey(from(g.map(v => v.toString(16)).join(':')), prefix));
    if ((a === b) !== bit >= prefix) faults.push(`/${prefix}, bit ${bit}: ${a} ${b}`);
  }
  t.strictSame(faults.slice(0, 5), [], `seed ${seed}`);
});

t.test('a flood from more addresses than are remembered is bounded in memory and in time', async t => {
  const limits = createClientLimits({ ...UNBOUNDED, rate: { count: 10, perMs: 3_600_000 } });
  const staying = limits.enter(MX, 0) as Client;
  const flood = 50_000;
  const enter = (at: number) => {
    const client = limits.enter({ family: 'ipv4', host: `f${at}`, port: 1 }, 1);
    if (typeof client === 'object') limits.leave(client, 2);
  };
  for (let at = 0; at < TRACKED_CLIENTS; at++) enter(at);
  const begunMs = performance.now();
  for (let at = 0; at < flood; at++) enter(TRACKED_CLIENTS + at);
  const eachUs = ((performance.now() - begunMs) / flood) * 1_000;
  t.comment(`${limits.tracked} clients remembered, ${eachUs.toFixed(1)} us for each further one`);
  t.ok(limits.tracked <= TRACKED_CLIENTS);
  t.ok(eachUs < 200, 'a stranger costs no walk over all the others');
  t.equal(limits.enter(MX, 3), staying, 'who has a session is not forgotten');
});
