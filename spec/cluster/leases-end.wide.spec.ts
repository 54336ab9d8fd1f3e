/** Slots of limits over the cluster: leases that end, and a Redis that forgets. */
import t from 'tap';
import { monotonicMs } from '../../lib/core/clock.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import { type RedisServer, startRedis } from '../support/redis.ts';
import { fill, granted, type Instance, instance, keys, LEASE_MS, LIMIT, settle } from './leasing.ts';

const redis = needs('redis-server', 'redis-cli');

t.test('a killed instance holds what it had for one lease, and not longer', redis, async t => {
  const leaseMs = LEASE_MS / 2;
  const server = await startRedis(t);
  await settle(server);
  const [a, b] = [instance(t, server.port, { leaseMs }), instance(t, server.port, { leaseMs })];
  await fill(a, 30);
  await granted(a, 'few that are idle', grant => grant < 35);
  const from = monotonicMs();
  a.cut();
  await granted(b, 'all but what the dead held', grant => grant > 0);
  await fill(b, 5);
  t.comment(`the dead was counted ${Math.round(monotonicMs() - from)} ms after`);
  await fill(b, 30);
  const ms = monotonicMs() - from;
  t.ok(ms > leaseMs - 200, `${Math.round(ms)} ms later it is not`);
});

t.test('without Redis no new session comes in before others could be given its slots', redis, async t => {
  const server = await startRedis(t);
  await settle(server);
  const a = instance(t, server.port);
  await fill(a, 5);
  t.ok(a.grant() > 5);
  await server.process.stop();
  const from = monotonicMs();
  t.ok(a.enter(), 'at first nothing changes');
  // When it looked for the last time and still had some: a busy machine may look seldom.
  let hadMs = 0;
  await granted(a, 'no more', grant => {
    if (grant > 0) hadMs = monotonicMs() - from;
    return grant === 0;
  });
  const ms = monotonicMs() - from;
  t.ok(
    ms > LEASE_MS / 2 && hadMs < LEASE_MS,
    `some for ${Math.round(hadMs)} ms, none after ${Math.round(ms)}`,
  );
  t.notOk(a.enter());
  t.equal(a.slots(), 6, 'sessions go on');
  t.equal(a.log.lines.filter(line => line.includes('without redis')).length, 1, a.log.lines.join('\n'));
  await server.again();
  await granted(a, 'what is taken', grant => grant === 6);
  await granted(a, 'a lease later, more', grant => grant > 6);
  t.match(a.log.lines, [
    /redis is reachable/,
    /redis is not reachable/,
    /without redis/,
    /redis is reachable/,
    /new or was reset, no slots are granted for 3 s/,
    /leased again/,
  ]);
});

t.test('a wiped Redis grants nothing until all have said what they hold', redis, async t => {
  const server = await startRedis(t);
  await settle(server);
  const all = [instance(t, server.port), instance(t, server.port)];
  const [a, b] = all as [Instance, Instance];
  await fill(a, 20);
  await fill(b, 10);
  await server.cli('flushall');
  const from = monotonicMs();
  const [before, other] = [a.grant(), b.grant()];
  let most = 0;
  // b does not say a word for a while.
  while (monotonicMs() - from < LEASE_MS * 0.7) {
    a.enter();
    await a.tick();
    // A machine that stood still has let the others' time go by.
    if (monotonicMs() - from < LEASE_MS * 0.9) most = Math.max(most, a.grant());
  }
  t.equal(most, before, 'no more than it had');
  t.equal(b.grant(), other);
  while (monotonicMs() - from < LEASE_MS * 1.5) {
    a.enter();
    await Promise.all([a.tick(), b.tick()]);
    t.ok(Math.max(a.grant(), a.slots()) + Math.max(b.grant(), b.slots()) <= LIMIT || t.fail('passed'));
  }
  await granted(a, 'then as before', grant => grant > before);
});

t.test('a clock that steps changes nothing', redis, async t => {
  const server = await startRedis(t);
  await settle(server);
  const [a, b] = [instance(t, server.port), instance(t, server.port)];
  await fill(a, 25);
  for (const ms of [3_600_000, -3_600_000]) {
    // What an hour's step looks like from the keys.
    const step = `for _, m in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do redis.call('ZINCRBY', KEYS[2], ${-ms}, m) end
      redis.call('HINCRBY', KEYS[1], 'now', ${-ms}) redis.call('HINCRBY', KEYS[1], 'quiet', ${-ms}) return 1`;
    await cli(server, step);
    for (let round = 0; round < 10; round++) {
      b.enter();
      await b.tick();
      t.ok(a.grant() + Math.max(b.grant(), b.slots()) <= LIMIT);
      await a.tick();
      t.ok(a.grant() >= 25, 'a keeps what it holds');
    }
    await eventually('slots go round', async () => {
      b.enter();
      await Promise.all([a.tick(), b.tick()]);
      return b.slots() === LIMIT - 25;
    });
    while (b.slots() > 0) b.exit();
  }
});

const cli = (server: RedisServer, script: string) =>
  server.cli('eval', script, '2', keys.slots, keys.slotLeases);
