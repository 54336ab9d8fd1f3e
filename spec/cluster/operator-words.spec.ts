import t from 'tap';
import { createOperatorState } from '../../lib/admin/operator-state.ts';
import { keysOf } from '../../lib/cluster/keys.ts';
import { MAX_WORDS } from '../../lib/cluster/limits.ts';
import { openLink } from '../../lib/cluster/link.ts';
import { createOperatorWords, type NewWord } from '../../lib/cluster/operator-words.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { redisUrl, startRedis } from '../support/redis.ts';

const redis = needs('redis-server', 'redis-cli');
const keys = keysOf('edge');

async function instance(owner: Owner, port: number) {
  const log = recordedLog();
  const link = openLink(redisUrl(port), log);
  owner.teardown(() => link.close());
  const state = createOperatorState();
  let readings = 0;
  const words = createOperatorWords({
    link,
    keys,
    known: state.heard,
    onWords(all) {
      readings++;
      state.hear(all);
    },
    log,
  });
  await eventually('a connection', async () => link.ask(client => client.time()));
  const admin = (backend: string) => state.of('mx', backend).admin;
  return {
    ...{ log, link, state, words, admin },
    /** What an exchange of counts does, ten times a second. */
    async follow() {
      const before = readings;
      const id = (await link.ask(client => client.hget(keys.words, '#'))) ?? '';
      words.follow(id);
      return { id, read: () => eventually('the words', async () => readings > before) };
    },
    say: (backend: string, state: 'ready' | 'drain' | 'maint', endSessions = false) =>
      words.say({ pool: 'mx', backend, admin: state, endSessions }),
  };
}

t.test('a word reaches those that are there and those that come later', redis, async t => {
  const { port, cli } = await startRedis(t);
  const [a, b] = [await instance(t, port), await instance(t, port)];
  t.equal(await a.say('mx1', 'drain'), 'said');
  t.equal(a.admin('mx1'), 'drain');
  await (await b.follow()).read();
  t.equal(b.admin('mx1'), 'drain');
  t.equal(await b.words.say({ pool: 'mx', backend: '10.0.0.1:25', weight: 7 }), 'said');
  const late = await instance(t, port);
  await (await late.follow()).read();
  t.equal(late.admin('mx1'), 'drain');
  t.equal(late.state.of('mx', '10.0.0.1:25').weight, 7);
  t.equal(await late.say('mx1', 'ready'), 'said');
  for (const { follow } of [a, b]) await (await follow()).read();
  t.same([a.admin('mx1'), b.admin('mx1')], ['ready', 'ready']);
  t.equal(await cli('ttl', keys.words), '-1', 'words stay, also when nobody is there');

  t.same(
    a.log.lines.concat(b.log.lines).filter(line => /nonsense|not put/.test(line)),
    [],
  );
});

t.test('a word that ends sessions does so once, where it is news', redis, async t => {
  const { port, cli } = await startRedis(t);
  const [a, b] = [await instance(t, port), await instance(t, port)];
  t.equal(await a.say('mx1', 'maint', true), 'said');
  t.match(await cli('hget', keys.words, 'a:mx/mx1'), /^\d{13}:maint!$/);
  await (await b.follow()).read();
  await cli('flushall');
  await (await b.follow()).read();
  t.match(await cli('hget', keys.words, 'a:mx/mx1'), /^\d{13}:maint$/, 'told again without');
});

t.test('a Redis that has lost words hears them again, and the later ones win', redis, async t => {
  const { port, cli } = await startRedis(t);
  const [a, b] = [await instance(t, port), await instance(t, port)];
  await a.say('mx1', 'drain');
  const old = await cli('hgetall', keys.words);
  await a.say('mx2', 'maint');
  await (await b.follow()).read();
  await cli('flushall');
  await (await a.follow()).read();
  await (await b.follow()).read();
  t.same([b.admin('mx1'), b.admin('mx2')], ['drain', 'maint'], 'after a wipe');
  await b.say('mx1', 'ready');
  await (await a.follow()).read();
  // As a replica that had lagged: an old word, and the other missing.
  await cli('del', keys.words);
  await cli('hset', keys.words, ...old.split('\n'));
  await (await a.follow()).read();
  t.same([a.admin('mx1'), a.admin('mx2')], ['ready', 'maint'], 'after a fail-over');
  const late = await instance(t, port);
  await (await late.follow()).read();
  t.same([late.admin('mx1'), late.admin('mx2')], ['ready', 'maint']);
});

t.test('two who speak at once are both heard, the later on the same thing', redis, async t => {
  const { port } = await startRedis(t);
  const [a, b] = [await instance(t, port), await instance(t, port)];
  const said = Array.from({ length: 40 }, (_, at) =>
    (at % 2 === 0 ? a : b).say(`mx${at % 5}`, at % 3 === 0 ? 'drain' : 'maint'),
  );
  t.ok((await Promise.all(said)).every(outcome => outcome === 'said'));
  await eventually('both to know the same', async () => {
    await a.follow();
    await b.follow();
    return (
      JSON.stringify(a.state.heard().toSorted(byName)) === JSON.stringify(b.state.heard().toSorted(byName))
    );
  });
  t.equal(a.state.heard().length, 5);
});

const byName = (one: { backend: string }, other: { backend: string }) =>
  one.backend < other.backend ? -1 : 1;

t.test('nonsense is thrown away, counted, told once, and stops no word', redis, async t => {
  const { port, cli } = await startRedis(t);
  const a = await instance(t, port);
  await a.say('mx1', 'drain');
  const bad: [string, () => Promise<unknown>][] = [
    ['no version', () => cli('hset', keys.words, 'a:mx/mx2', 'drain')],
    ['no such state', () => cli('hset', keys.words, 'a:mx/mx2', '5:gone')],
    ['weight zero', () => cli('hset', keys.words, 'w:mx/mx2', '5:0')],
    ['weight 257', () => cli('hset', keys.words, 'w:mx/mx2', '5:257')],
    ['no weight', () => cli('hset', keys.words, 'w:mx/mx2', '5:-1')],
    ['no name', () => cli('hset', keys.words, 'x', '5:drain')],
    ['a name that is too long', () => cli('hset', keys.words, `a:mx/${'x'.repeat(600)}`, '5:drain')],
    ['a version from the future', () => cli('hset', keys.words, 'a:mx/mx1', '9007199254740991:ready')],
    ['a version without end', () => cli('hset', keys.words, 'a:mx/mx1', `${'9'.repeat(25)}:ready`)],
    ['a number that is none', () => cli('hset', keys.words, '#', 'x')],
    ['a number from the future', () => cli('hset', keys.words, '#', '9007199254740991')],
    [
      'a megabyte',
      () =>
        cli(
          'eval',
          "return redis.call('HSET', KEYS[1], 'a:mx/mx2', string.rep('9', 1048576))",
          '1',
          keys.words,
        ),
    ],
    [
      'far too many',
      () =>
        cli(
          'eval',
          "for at = 1, 40000 do redis.call('HSET', KEYS[1], 'a:mx/' .. at, '5:drain') end return 1",
          '1',
          keys.words,
        ),
    ],
    ['a string', () => cli('set', keys.words, 'x')],
  ];
  for (const [what, spoil] of bad) {
    await spoil();
    const state = what.length % 2 === 0 ? 'drain' : 'maint';
    t.equal(await a.say('mx3', state), 'said', what);
    t.same([a.admin('mx1'), a.admin('mx2'), a.admin('mx3')], ['drain', 'ready', state], what);
    t.equal(a.state.of('mx', 'mx2').weight, null, what);
  }
  t.ok(a.words.nonsense >= 12, `${a.words.nonsense} values`);
  t.equal(a.log.lines.filter(line => line.includes("no operator's words")).length, 1);
  t.ok(Number(await cli('memory', 'usage', keys.words)) < 1_024, 'nothing of it is left');
});

t.test('words are bounded: old "ready"s make room, and then there is none', redis, async t => {
  const { port, cli } = await startRedis(t);
  const a = await instance(t, port);
  await cli(
    'eval',
    `for at = 1, ${MAX_WORDS} do redis.call('HSET', KEYS[1], 'a:mx/' .. at, (at + 1000) .. (at <= 2 and ':ready' or ':drain')) end return 1`,
    '1',
    keys.words,
  );
  t.equal(await a.say('new1', 'drain'), 'said');
  t.equal(await a.say('new2', 'drain'), 'said');
  t.equal(await a.say('new3', 'drain'), 'full');
  t.equal(await a.say('new2', 'ready'), 'said', 'what is there can be changed');
  t.equal(a.admin('new3'), 'ready');
  t.ok(a.state.heard().length <= MAX_WORDS);
  const octets = Number(await cli('memory', 'usage', keys.words));
  t.comment(`${MAX_WORDS} words take ${octets} octets in Redis`);
});

t.test('without Redis nothing is said', redis, async t => {
  const { port, process } = await startRedis(t);
  const a = await instance(t, port);
  await process.stop();
  const word: NewWord = { pool: 'mx', backend: 'mx1', admin: 'drain', endSessions: false };
  t.equal(await a.words.say(word), undefined);
  t.equal(a.admin('mx1'), 'ready');
});
