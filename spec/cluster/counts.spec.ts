import { randomUUID } from 'node:crypto';
import t from 'tap';
import { createCounts } from '../../lib/cluster/counts.ts';
import { keysOf } from '../../lib/cluster/keys.ts';
import { openLink } from '../../lib/cluster/link.ts';
import type { Load } from '../../lib/cluster/report.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { redisUrl, startRedis } from '../support/redis.ts';

const redis = needs('redis-server', 'redis-cli');
const keys = keysOf('edge');

function instance(owner: Owner, port: number, known = (_: string) => true) {
  const log = recordedLog();
  const link = openLink(redisUrl(port), log);
  owner.teardown(() => link.close());
  const sessions = new Map<string, number>();
  const rates = new Map<string, number>();
  const incarnation = randomUUID();
  const counts = createCounts({
    link,
    keys,
    incarnation,
    own: () => ({ sessions: new Map(sessions), rates: new Map(rates) }),
    isKnown: known,
    log,
  });
  const seen = async (): Promise<Load | undefined> => (await counts.exchange())?.others;
  const sees = (what: string, expected: Record<string, number>, deadlineMs?: number) =>
    eventually(
      what,
      async () => {
        const others = Object.fromEntries((await seen())?.sessions ?? [['', -1]]);
        const text = (record: Record<string, number>) => JSON.stringify(Object.entries(record).sort());
        if (text(others) !== text(expected)) throw new Error(text(others));
        return true;
      },
      deadlineMs,
    );
  return { link, log, sessions, rates, counts, seen, sees, incarnation };
}

t.test("each instance sees the sum of the others', and never its own", redis, async t => {
  const { port } = await startRedis(t);
  const [a, b, c] = [instance(t, port), instance(t, port), instance(t, port)];
  a.sessions.set('mx/mx1', 3);
  b.sessions.set('mx/mx1', 4).set('mx/mx2', 5);
  b.rates.set('mx', 12.5);
  for (const { seen } of [a, b]) await eventually('a first answer', seen);
  await b.sees('a', { 'mx/mx1': 3 });
  await a.sees('b', { 'mx/mx1': 4, 'mx/mx2': 5 });
  await c.sees('both', { 'mx/mx1': 7, 'mx/mx2': 5 });
  t.equal((await c.seen())?.rates.get('mx'), 12.5);
  // Own counts that change faster than sums are made never show up as others'.
  for (let count = 0; count < 200; count++) {
    a.sessions.set('mx/mx1', count % 17);
    t.equal((await a.seen())?.sessions.get('mx/mx1'), 4, `own ${count % 17}`);
  }
  b.sessions.clear();
  await b.seen();
  await c.seen();
  await a.sees('nothing', {});
  t.equal(a.counts.state().instances, 3);
  await b.counts.leave();
  await eventually('two', async () => (await a.seen()) && a.counts.state().instances === 2);
});

t.test('differing configurations share what they have in common', redis, async t => {
  const { port } = await startRedis(t);
  const a = instance(t, port, name => name === 'mx/mx1');
  const b = instance(t, port);
  b.sessions.set('mx/mx1', 1).set('other/x', 2).set('__proto__', 3);
  await eventually('b written', b.seen);
  await a.sees('only what it knows', { 'mx/mx1': 1 });
});

t.test('a lease that is not renewed ends, by the clock of Redis', redis, async t => {
  const { port, cli } = await startRedis(t);
  const [a, b] = [instance(t, port), instance(t, port)];
  a.sessions.set('mx/mx1', 9);
  await eventually('a written', a.seen);
  await b.sees('a', { 'mx/mx1': 9 });
  // As if five seconds had passed in Redis.
  await cli('zadd', keys.leases, 'XX', '1', a.incarnation);
  await b.sees('a gone', {}, 4_000);
  await a.seen();
  await a.seen();
  await b.sees('a back, since it lives', { 'mx/mx1': 9 });
  await cli('zadd', keys.leases, 'XX', '9999999999999', a.incarnation);
  await b.sees('a lease from the future dropped', {});
  await a.seen();
  await a.seen();
  await b.sees('and renewed', { 'mx/mx1': 9 });
});

t.test('a wiped Redis is whole again with the next exchanges', redis, async t => {
  const { port, cli } = await startRedis(t);
  const [a, b] = [instance(t, port), instance(t, port)];
  a.sessions.set('mx/mx1', 2);
  await eventually('a written', a.seen);
  await b.sees('a', { 'mx/mx1': 2 });
  await cli('flushall');
  for (let count = 0; count < 2; count++) {
    await a.seen();
    await b.seen();
  }
  await b.sees('a', { 'mx/mx1': 2 });
});

t.test('nonsense in Redis is thrown away, counted and told once', redis, async t => {
  const { port, cli } = await startRedis(t);
  const [a, b] = [instance(t, port), instance(t, port)];
  a.sessions.set('mx/mx1', 2);
  await eventually('a written', a.seen);
  await b.sees('a', { 'mx/mx1': 2 });
  const member = async (value: string) => {
    await cli('hset', keys.counts, 'x', value);
    await cli('zadd', keys.leases, String(Date.now() + 4_000), 'x');
  };
  const megabyte = "local v = string.rep('9', 1048576) redis.call('HSET', KEYS[1], 'x', '1:' .. v) return 1";
  const bad: [string, () => Promise<unknown>][] = [
    ['no number', () => member('1:{"c":{"mx/mx1":"3"}}')],
    ['negative', () => member('1:{"c":{"mx/mx1":-3}}')],
    ['not finite', () => member('1:{"c":{"mx/mx1":1e999}}')],
    ['NaN', () => member('1:{"c":{"mx/mx1":nan}}')],
    ['no JSON', () => member('hello')],
    ['deeply nested', () => member(`1:${'['.repeat(5_000)}`)],
    ['a list', () => member('1:[1,2,3]')],
    [
      'huge',
      async () => {
        await member('1:{}');
        await cli('eval', megabyte, '1', keys.counts);
      },
    ],
    ['a string for leases', () => cli('set', keys.leases, 'x')],
    [
      'a list for counts',
      async () => {
        await cli('del', keys.counts);
        await cli('lpush', keys.counts, 'x');
      },
    ],
    ['a string for the sum', () => cli('set', keys.sum, 'x')],
    ['a sum that is none', () => cli('hset', keys.sum, 'json', '{"c":{"mx/mx1":-5}}', 'id', 'new')],
    ['a string for the words', () => cli('set', keys.words, 'x')],
  ];
  for (const [what, spoil] of bad) {
    await cli('hset', keys.sum, 'dirty', '1').catch(() => {});
    await spoil();
    for (let count = 0; count < 3; count++) {
      const others = await a.seen();
      t.ok(
        [...(others?.sessions.values() ?? [])].every(value => value >= 0),
        `never negative: ${what}`,
      );
      await b.seen();
    }
    await b.sees(`the truth after ${what}`, { 'mx/mx1': 2 }, 3_500);
    await a.sees(`nothing more after ${what}`, {}, 3_500);
  }
  t.ok(a.counts.state().nonsense + b.counts.state().nonsense >= 10, 'counted');
  const told = [...a.log.lines, ...b.log.lines].filter(line => line.includes('no counts'));
  t.ok(told.length >= 1 && told.length <= 2, 'once an instance');
  t.ok(Number(await cli('memory', 'usage', keys.counts)) < 4_096, 'nothing of it is left');
});
