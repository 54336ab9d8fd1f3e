import t from 'tap';
import { type Client, createClientLimits, type PerClientLimits } from '../../lib/admission/client-limits.ts';
import { clientTableMemory } from '../../lib/admission/client-table.ts';
import { createClientExchange } from '../../lib/cluster/client-limits.ts';
import { HEARTBEAT_MS } from '../../lib/cluster/limits.ts';
import { type Link, openLink } from '../../lib/cluster/link.ts';
import { type Address, ipAddress } from '../../lib/core/address.ts';
import { monotonicMs } from '../../lib/core/clock.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { redisUrl, startRedis } from '../support/redis.ts';

const from = (host: string): Address => ipAddress(host, 4_711) as Address;
const MX = from('192.0.2.1');
const PREFIX = 'smtplb:{test}:';
const KEY = `${PREFIX}client:mx:192.0.2.1`;

async function connected(owner: Owner, port: number): Promise<Link> {
  const link = openLink(redisUrl(port), { info() {}, warn() {} });
  owner.teardown(() => link.close());
  await eventually('redis', async () => (await link.ask(client => client.ping())) === 'PONG');
  return link;
}

/** One instance's part in it: a table, a door, a connection. `skewMs` sets its clock apart from the others'. */
async function instance(
  owner: Owner,
  port: number,
  bounds: Partial<PerClientLimits>,
  of: number,
  skewMs = 0,
) {
  const table = clientTableMemory();
  const limits = { connections: Number.POSITIVE_INFINITY, rate: null, ipv6Prefix: 64, table, ...bounds };
  let aheadMs = skewMs;
  const now = () => monotonicMs() + aheadMs;
  const link = await connected(owner, port);
  let commands = 0;
  const exchange = createClientExchange({
    link: {
      run(...args) {
        commands++;
        return link.run(...args);
      },
    },
    prefix: PREFIX,
    incarnation: Math.random().toString(36).slice(2, 12),
    instances: () => of,
    now,
  });
  exchange.update([{ name: 'mx', limits }]);
  const door = createClientLimits(limits);
  const inside: Client[] = [];
  return {
    exchange,
    link,
    inside,
    get commands() {
      return commands;
    },
    enter(address = MX): boolean {
      const client = door.enter(address, now());
      if (typeof client === 'object') inside.push(client);
      return typeof client === 'object';
    },
    pass(ms: number) {
      aheadMs += ms;
    },
    leave() {
      for (const client of inside.splice(0)) door.leave(client);
    },
  };
}
type Instance = Awaited<ReturnType<typeof instance>>;
const total = (all: readonly Instance[]) => all.reduce((sum, { inside }) => sum + inside.length, 0);
/** Two heartbeats of each. */
const settle = async (all: readonly Instance[]) => {
  for (let round = 0; round < 2; round++) {
    for (const { exchange, pass } of all) {
      pass(HEARTBEAT_MS);
      await exchange.exchange();
    }
  }
};

t.test('sessions at a time over two and four instances', needs('redis-server'), async t => {
  const { port } = await startRedis(t);
  for (const of of [2, 4]) {
    const all = await Promise.all(
      Array.from({ length: of }, (_, at) => instance(t, port, { connections: 20 }, of, at * 3_600_000)),
    );
    // One more at each in turn, with an exchange after each round.
    for (let round = 0; round < 25; round++) {
      for (const one of all) one.enter();
      for (const one of all) await one.exchange.exchange();
    }
    t.comment(`${of} instances, limit 20: ${total(all)} inside when each takes turns`);
    t.ok(total(all) >= 20 && total(all) <= 20 + of - 1, 'over by what comes in one exchange elsewhere');
    for (const one of all) one.leave();
    await settle(all);
    // All at once: nobody knows of the others yet.
    for (const one of all) while (one.enter());
    t.equal(total(all), of * 20, 'each its own limit, before they have heard of each other');
    await settle(all);
    for (const one of all.slice(1)) one.leave();
    await settle(all);
    t.notOk(all[1]?.enter(), 'the first still has 20');
    for (const one of all) one.leave();
    await settle(all);
    t.ok(all[1]?.enter(), 'all gone');
    for (const one of all) one.leave();
    await settle(all);
  }
});

t.test(
  'a rate over four instances with clocks an hour apart: what was too much is paid for',
  needs('redis-server'),
  async t => {
    const { port } = await startRedis(t);
    const rate = { count: 8, perMs: 800 };
    const all = await Promise.all([0, 1, 2, 3].map(at => instance(t, port, { rate }, 4, at * 3_600_000)));
    for (const { exchange } of all) exchange.start();
    const begunMs = monotonicMs();
    let gapMs = 0;
    let lookedMs = begunMs;
    await eventually('some seconds to pass', () => {
      for (const one of all) while (one.enter());
      gapMs = Math.max(gapMs, monotonicMs() - lookedMs);
      lookedMs = monotonicMs();
      return lookedMs - begunMs > 4_000;
    });
    const elapsedMs = monotonicMs() - begunMs;
    const fair = 8 + elapsedMs / 100;
    t.comment(
      `${total(all)} let in over ${Math.round(elapsedMs)} ms; one instance: ${fair.toFixed(0)}; four apart: ${(4 * fair).toFixed(0)}`,
    );
    t.ok(total(all) >= 0.5 * fair, 'and not much less than the rate');
    // While a busy machine stands still nothing is exchanged, and four have a rate each.
    const apart = 3 * (8 + gapMs / 100);
    t.ok(
      total(all) <= fair + apart + 12,
      `three bursts above it at most, and an exchange; ${gapMs.toFixed()} ms at a standstill`,
    );
    for (const { exchange } of all) await exchange.stop();
  },
);

t.test('an instance that is gone, and values that are nonsense', needs('redis-server'), async t => {
  const { port, cli } = await startRedis(t);
  const [gone, left] = await Promise.all([
    instance(t, port, { connections: 4 }, 2),
    instance(t, port, { connections: 4 }, 2),
  ]);
  while (gone.enter());
  await gone.exchange.exchange();
  left.enter();
  await left.exchange.exchange();
  t.notOk(left.enter(), 'four are elsewhere');
  t.ok(Number(await cli('PTTL', KEY)) > 0, 'no key is for ever');
  t.comment(`${await cli('MEMORY', 'USAGE', KEY)} bytes in Redis for a client of two instances`);
  left.exchange.start();
  await eventually('its lease to end', () => left.enter());
  await left.exchange.stop();

  const big = 'x'.repeat(1_000);
  for (const fields of [
    ['evil', '3 99999999999999999'],
    ['evil', '-5 1', 'owed', 'nan', big, big],
    ['evil', '1e9 1e99', 'owed', '9'.repeat(300)],
    ['owed', 'inf'],
  ]) {
    await cli('DEL', KEY);
    await cli('HSET', KEY, ...fields);
    left.leave();
    left.enter();
    await left.exchange.exchange();
    while (left.enter());
    t.equal(left.inside.length, 4, 'as many as alone');
    t.notMatch(await cli('HKEYS', KEY), /evil|xxx/, 'swept out');
  }
  for (const words of [
    ['SET', KEY, 'a string'],
    ['SETRANGE', KEY, '1000000', 'x'],
    ['RPUSH', KEY, '1'],
    ['FLUSHALL'],
  ]) {
    if (words[0] === 'RPUSH' || words[0] === 'SETRANGE') await cli('DEL', KEY);
    await cli(...words);
    left.leave();
    left.enter();
    await left.exchange.exchange();
    t.equal(await cli('TYPE', KEY), 'hash', `whole again after ${words[0]}`);
  }
});

t.test('the clock of Redis is put back: nobody owes more for that', needs('redis-server'), async t => {
  const { port, cli } = await startRedis(t);
  const one = await instance(t, port, { rate: { count: 8, perMs: 60_000 } }, 2);
  for (let sessions = 0; sessions < 4; sessions++) one.enter();
  await one.exchange.exchange();
  const owed = Number(await cli('HGET', KEY, 'owed'));
  await cli('HSET', KEY, 'owed', String(owed + 3_600_000));
  one.pass(HEARTBEAT_MS);
  await one.exchange.exchange();
  t.ok(one.enter(), 'half of its rate is left');
  const longer = Number(await cli('HGET', KEY, 'owed')) - owed;
  t.ok(longer < 60_000, `${longer} ms longer`);
});

t.test(
  'without Redis the own limit holds, and after it all is known again',
  needs('redis-server'),
  async t => {
    const server = await startRedis(t);
    const all = await Promise.all([0, 1].map(() => instance(t, server.port, { connections: 4 }, 2)));
    const [a, b] = all as [Instance, Instance];
    await server.process.stop();
    while (a.enter());
    await settle(all);
    t.equal(a.inside.length, 4);
    b.enter();
    t.equal(b.inside.length, 1, 'nobody could tell it');
    const again = await server.again();
    for (const { link } of all)
      await eventually('redis', async () => (await link.ask(client => client.ping())) === 'PONG');
    // What was said to nobody is said again with the next heartbeat.
    await settle(all);
    t.equal(await again.cli('HLEN', KEY), '2');
    t.notOk(b.enter(), 'five of four: no more');
    a.leave();
    await settle(all);
    t.ok(b.enter());
  },
);

t.test('a flood of addresses does not flood Redis', needs('redis-server'), async t => {
  const { port, cli } = await startRedis(t);
  const one = await instance(t, port, { connections: 20 }, 4);
  const two = await instance(t, port, { connections: 20 }, 4);
  for (let at = 0; at < 19; at++) two.enter();
  await two.exchange.exchange();
  for (let at = 0; at < 100_000; at++)
    for (let session = 0; session < 2; session++)
      one.enter({ family: 'ipv4', host: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`, port: 1 });
  one.enter();
  one.enter();
  one.enter();
  const begunMs = monotonicMs();
  for (let round = 0; round < 5; round++) await one.exchange.exchange();
  t.comment(
    `100,000 addresses with two sessions each: ${one.commands} commands in five exchanges (one second's), ` +
      `${await cli('DBSIZE')} keys, ${Math.round(monotonicMs() - begunMs)} ms`,
  );
  t.ok(one.commands <= 20);
  t.ok(Number(await cli('DBSIZE')) <= 5 * 512);
  t.notOk(one.enter(), 'who is nearest to the limit comes first: 19 elsewhere, 3 here');
  t.ok(one.exchange.shared <= 2_000);
});
