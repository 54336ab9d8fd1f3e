import t from 'tap';
import { keysOf } from '../../lib/cluster/keys.ts';
import { openLink } from '../../lib/cluster/link.ts';
import { createClusterKeeper } from '../../lib/cluster/sticky.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { redisUrl, startRedis } from '../support/redis.ts';

const redis = needs('redis-server', 'redis-cli');
const { prefix } = keysOf('edge');
const PATIENT_MS = 3_000;

function keeper(owner: Owner, port: number) {
  const log = recordedLog();
  const link = openLink(redisUrl(port), log);
  owner.teardown(() => link.close());
  let passedMs = 0;
  const now = () => performance.now() + passedMs;
  const { recall, claim } = createClusterKeeper({ link, prefix, log, now });
  const ask = async (...keys: string[]) =>
    recall(
      keys.map(key => ({ pool: 'mx', key, timeoutMs: PATIENT_MS })),
      PATIENT_MS,
    );
  return {
    log,
    link,
    recall,
    ask,
    claim: (key: string, backend: string, insteadOf: string | null = null, ttlMs = 60_000) =>
      claim([{ pool: 'mx', key, backend, insteadOf, ttlMs }]),
    claimAll: claim,
    /** So much time passes at once. */
    pass(ms: number) {
      passedMs += ms;
    },
    ready: () => eventually('a connection', async () => (await ask('none')).found === 'redis'),
  };
}

t.test('the first writer wins over the cluster, and use renews', redis, async t => {
  const { port, cli } = await startRedis(t);
  const [a, b] = [keeper(t, port), keeper(t, port)];
  await a.ready();
  await b.ready();
  t.same(await a.ask('c1'), { backends: [null], found: 'redis' });
  t.same(await a.claim('c1', 'mx1'), ['mx1']);
  t.same(await b.claim('c1', 'mx2'), ['mx1'], 'the second one learns who was first');
  t.same(await b.ask('c1', 'c2'), { backends: ['mx1', null], found: 'redis' });
  const key = `${prefix}sticky:mx:c1`;
  await cli('pexpire', key, '1000');
  await b.claim('c1', 'mx2');
  t.ok(Number(await cli('pttl', key)) <= 1_000, 'another backend renews nothing');
  await b.claim('c1', 'mx1');
  const left = Number(await cli('pttl', key));
  t.ok(left > 60_000 && left <= 70_000, `the time asked for, and until the next renewal: ${left} ms`);
  t.same(await b.claim('c1', 'mx2', 'mx9'), ['mx1'], 'only who is named gives way');
  t.same(await b.claim('c1', 'mx2', 'mx1'), ['mx2']);
  t.same((await a.ask('c1')).backends, ['mx2']);
});

t.test('many at once, in one turn and in one claim', redis, async t => {
  const { port, cli } = await startRedis(t);
  const a = keeper(t, port);
  await a.ready();
  const keys = Array.from({ length: 2_000 }, (_, at) => `10.0.${at >> 8}.${at & 255}`);
  const claims = keys.map(key => ({ pool: 'mx', key, backend: `to-${key}`, insteadOf: null, ttlMs: 60_000 }));
  t.same(
    await a.claimAll(claims),
    keys.map(key => `to-${key}`),
  );
  const calls = async (): Promise<number> =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(await cli('info', 'commandstats'))?.[1] ?? 0);
  const before = await calls();
  const answers = await Promise.all(keys.map(key => a.ask(key)));
  t.same(
    answers.flatMap(({ backends }) => backends),
    keys.map(key => `to-${key}`),
  );
  const made = (await calls()) - before;
  t.ok(made <= 10, `2000 look-ups of one turn were ${made} commands`);
  const octets = Number(await cli('memory', 'usage', `${prefix}sticky:mx:10.0.7.100`));
  t.ok(octets < 256, `an entry takes ${octets} octets in Redis`);
  t.comment(`an entry takes ${octets} octets in Redis`);
});

t.test('nonsense in Redis is no backend, and is written over', redis, async t => {
  const { port, cli } = await startRedis(t);
  const a = keeper(t, port);
  await a.ready();
  const key = `${prefix}sticky:mx:c1`;
  const megabyte = "return redis.call('SET', KEYS[1], string.rep('x', 1048576))";
  const spoil: [string, () => Promise<string>][] = [
    ['a list', () => cli('lpush', key, 'x')],
    ['a hash', () => cli('hset', key, 'x', 'y')],
    ['empty', () => cli('set', key, '')],
    ['a megabyte', () => cli('eval', megabyte, '1', key)],
  ];
  for (const [what, write] of spoil) {
    await cli('del', key);
    await write();
    t.same(await a.ask('c1'), { backends: [null], found: 'redis' }, what);
    t.same(await a.claim('c1', 'mx1'), ['mx1'], what);
    t.same((await a.ask('c1')).backends, ['mx1'], what);
    t.ok(Number(await cli('pttl', key)) > 0, 'and it has a time');
  }
});

t.test('Redis that is late holds up who asks first, and nobody after', redis, async t => {
  const { port, process, cli } = await startRedis(t);
  const a = keeper(t, port);
  await a.ready();
  await a.claim('c1', 'mx1');
  const question = [{ pool: 'mx', key: 'c1', timeoutMs: 20 }];
  process.kill('SIGSTOP');
  let from = performance.now();
  const first = await Promise.all(Array.from({ length: 200 }, () => a.recall(question, 20)));
  const waitedMs = performance.now() - from;
  t.ok(first.every(({ found }) => found === 'timeout'));
  // One after the other they would wait for four seconds, and so would the next ones.
  t.ok(waitedMs < 3_500, `two hundred at once have waited ${waitedMs.toFixed()} ms`);
  from = performance.now();
  for (let count = 0; count < 200; count++) t.equal((await a.recall(question, 20)).found, 'timeout');
  const tookMs = performance.now() - from;
  t.ok(tookMs < 3_500, `two hundred more, one after the other, ${tookMs.toFixed(1)} ms`);
  t.comment(`the first ${waitedMs.toFixed()} ms, 200 more ${tookMs.toFixed(1)} ms in all`);
  const toldOfSticky = () =>
    a.log.lines.filter(line => line.includes('sticky')).map(line => line.split(':')[0]);
  t.same(toldOfSticky(), [], 'a moment is not told');
  a.pass(2_000);
  for (let count = 0; count < 3; count++) await a.recall(question, 20);
  t.same(toldOfSticky(), ['warn']);
  process.kill('SIGCONT');
  await eventually('an answer', async () => (await a.recall(question, PATIENT_MS)).backends[0] === 'mx1');
  a.pass(2_000);
  for (let count = 0; count < 3; count++) await a.ask('c1');
  t.same(toldOfSticky(), ['warn', 'info'], 'one line each way');
  await cli('flushall');
  t.same(await a.ask('c1'), { backends: [null], found: 'redis' });
  await process.stop();
  await eventually('nobody', async () => (await a.ask('c1')).found === 'timeout');
  from = performance.now();
  t.equal((await a.ask('c1')).found, 'timeout');
  t.equal(await a.claim('c1', 'mx1'), null);
  t.ok(performance.now() - from < PATIENT_MS, 'without a connection nobody waits');
});
