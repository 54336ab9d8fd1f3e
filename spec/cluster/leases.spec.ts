/** Slots of limits over the cluster: who gets how many. */
import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';
import { fill, granted, instance, keys, LEASE_MS, LIMIT, settle } from './leasing.ts';

const redis = needs('redis-server', 'redis-cli');

t.test('four instances compete, and the limit is never passed', redis, async t => {
  const server = await startRedis(t);
  await settle(server);
  const all = [1, 2, 3, 4].map(() => instance(t, server.port));
  const sum = () => all.reduce((slots, one) => slots + one.slots(), 0);
  let sessions = 0;
  let most = 0;
  let fullest = 0;
  // Each instance's crowd comes and goes: now here, now there, and together more than there is room for.
  await Promise.all(
    all.map(async (one, at) => {
      for (let round = 0; round < 150; round++) {
        await one.tick();
        const isRush = Math.floor(round / 35) % 4 === at;
        for (let turn = 0; turn < 40; turn++) {
          if (Math.random() < (isRush ? 0.7 : 0.4)) sessions += one.enter() ? 1 : 0;
          else if (one.slots() > 0) one.exit();
          most = Math.max(most, sum());
          const grants = all.reduce(
            (slots, { grant, slots: taken }) => slots + Math.max(grant(), taken()),
            0,
          );
          fullest = Math.max(fullest, grants);
        }
        await new Promise(resolve => setTimeout(resolve, 20));
      }
    }),
  );
  const calls = all.reduce((count, one) => count + one.calls(), 0);
  t.comment(`${sessions} sessions, ${calls} commands: ${(calls / sessions).toFixed(4)} a session`);
  t.comment(`at most ${most} of ${LIMIT} taken, ${fullest} granted`);
  t.ok(most <= LIMIT && fullest <= LIMIT, `${most} taken, ${fullest} granted`);
  t.ok(most > LIMIT * 0.9, 'the limit is reached');
});

t.test('all of the limit can be used, by whoever needs it', redis, async t => {
  const server = await startRedis(t);
  await settle(server);
  const [a, b] = [instance(t, server.port), instance(t, server.port)];
  await granted(a, 'some to begin with', grant => grant > 0);
  t.equal(a.slots(), 0, 'before anybody came');
  await fill(a, LIMIT);
  t.equal(a.grant(), LIMIT);
  t.notOk(b.enter());
  await b.tick();
  t.equal(b.grant(), 0, 'none is left');
  t.ok(b.leases.hitsAt('mx', 'b0') > 0, 'counted');
  a.exit();
  a.exit();
  await eventually('b gets what a no longer needs', async () => {
    b.enter();
    await Promise.all([a.tick(), b.tick()]);
    return b.slots() === 2;
  });
  t.equal(a.grant(), LIMIT - 2, 'and a has that much less');
  t.equal(a.leases.grantAt('mx', 'b0'), LIMIT - 2);
  t.equal(a.leases.grantAt('mx', 'other'), null);
});

t.test('what is idle goes back by itself, and goodbye gives all back', redis, async t => {
  const server = await startRedis(t);
  await settle(server);
  const [a, b] = [instance(t, server.port), instance(t, server.port)];
  await fill(a, 30);
  for (let at = 0; at < 30; at++) a.exit();
  await granted(a, 'few are kept', grant => grant <= 4);
  await fill(b, 30);
  await b.leave();
  await fill(a, LIMIT);
  t.pass('an instance that left holds nothing');
});

t.test('nonsense and lost keys heal, and nothing is granted twice meanwhile', redis, async t => {
  const server = await startRedis(t);
  const { cli } = server;
  await settle(server);
  // Time enough for a busy machine to let the other instance speak.
  const leaseMs = 2 * LEASE_MS;
  const [a, b] = [instance(t, server.port, { leaseMs }), instance(t, server.port, { leaseMs })];
  const slots = keys.slotsOf('mx/b0');
  const spoil: [string, () => Promise<unknown>][] = [
    ['a string for the slots', () => cli('set', slots, 'x')],
    ['no slots', () => cli('del', slots)],
    ['a word for a number', () => cli('hset', slots, a.incarnation, 'many')],
    ['a negative number', () => cli('hset', slots, a.incarnation, '-20 1')],
    [
      'a megabyte',
      () => cli('eval', "return redis.call('HSET', KEYS[1], 'x', string.rep('9', 1048576))", '1', slots),
    ],
    ['no leases', () => cli('del', keys.slotLeases)],
    [
      'a list for the leases',
      async () =>
        cli(
          'eval',
          "redis.call('DEL', KEYS[1]) return redis.call('LPUSH', KEYS[1], 'x')",
          '1',
          keys.slotLeases,
        ),
    ],
    ['leases of the future', () => cli('zadd', keys.slotLeases, '9999999999999', 'nobody')],
    ['no wants', () => cli('set', keys.slotWants, 'x')],
  ];
  await fill(a, 25);
  for (const [what, spoils] of spoil) {
    await eventually(
      'b has all the rest',
      async () => {
        await Promise.all([a.tick(), b.tick()]);
        b.enter();
        return a.slots() + b.slots() === LIMIT;
      },
      20_000,
    );
    for (let at = 0; at < 5; at++) b.exit();
    await Promise.all([a.tick(), b.tick()]);
    await spoils();
    for (let round = 0; round < 12; round++) {
      b.enter();
      await b.tick();
      if (round > 1) await a.tick();
      const sum = Math.max(a.grant(), a.slots()) + Math.max(b.grant(), b.slots());
      if (sum > LIMIT) t.fail(`${what}: ${sum} granted`);
    }
    t.pass(what);
  }
  await eventually('what nobody of them wrote is thrown away when slots are added up', async () => {
    b.enter();
    await Promise.all([a.tick(), b.tick()]);
    return Number(await cli('memory', 'usage', slots)) < 2_000;
  });
});
