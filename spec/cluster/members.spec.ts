import { randomUUID } from 'node:crypto';
import t from 'tap';
import { createCounts } from '../../lib/cluster/counts.ts';
import { differences, type Fingerprint } from '../../lib/cluster/fingerprint.ts';
import { keysOf } from '../../lib/cluster/keys.ts';
import { openLink } from '../../lib/cluster/link.ts';
import { decodeMember, encodeMember, type MemberReport } from '../../lib/cluster/member.ts';
import { createMembers } from '../../lib/cluster/members.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { redisUrl, startRedis } from '../support/redis.ts';

const redis = needs('redis-server', 'redis-cli');
const keys = keysOf('edge');

const fingerprint = (pools: Record<string, string> = { mx: 'a' }): Fingerprint => ({
  all: JSON.stringify(pools),
  pools: new Map(Object.entries(pools)),
  limits: '',
});

const report = (instance: string, rest: Partial<MemberReport> = {}): MemberReport => ({
  instance,
  hostName: 'here.example',
  host: 'here',
  version: '1.2.3',
  generation: 1,
  fingerprint: fingerprint(),
  shards: 2,
  transport: 'net',
  sessions: 0,
  startedAtMs: Date.now(),
  state: 'running',
  ...rest,
});

function member(owner: Owner, port: number, first: MemberReport, isSuccessor = false) {
  const log = recordedLog();
  const link = openLink(redisUrl(port), log);
  owner.teardown(() => link.close());
  const incarnation = randomUUID();
  let own = first;
  let clockMs = 1_000;
  const now = () => clockMs;
  const members = createMembers({ link, keys, incarnation, own: () => own, isSuccessor, log, now });
  const sessions = new Map([['mx/mx1', 1]]);
  const counts = createCounts({
    ...{ link, keys, incarnation, log },
    own: () => ({ sessions, rates: new Map() }),
    isKnown: () => true,
  });
  return {
    ...{ counts, incarnation, link, log, members },
    become: (rest: Partial<MemberReport>) => {
      own = { ...own, ...rest };
    },
    /** What a running instance does, as if `ms` had passed. */
    async live(ms = 1_100) {
      clockMs += ms;
      await eventually('an exchange', () => counts.exchange());
      await members.look();
      return members.seen.map(({ instance }) => instance);
    },
    others: async () => Object.fromEntries((await counts.exchange())?.others.sessions ?? []),
  };
}

t.test('each knows who is there, and what they are', redis, async t => {
  const { port, cli } = await startRedis(t);
  const a = member(t, port, report('edge-1'));
  const b = member(t, port, report('edge-2', { version: '1.2.4', sessions: 7, generation: 3 }));
  t.same(await a.live(), ['edge-1']);
  t.same(await b.live(), ['edge-1', 'edge-2']);
  t.same(await a.live(), ['edge-1', 'edge-2']);
  const [self, other] = a.members.seen;
  t.match(self, { isSelf: true });
  t.match(other, {
    isSelf: false,
    version: '1.2.4',
    sessions: 7,
    generation: 3,
    shards: 2,
    transport: 'net',
  });
  t.ok((other?.silentMs ?? Number.NaN) < 5_000);
  t.comment(`an instance takes ${Number(await cli('memory', 'usage', keys.members)) / 2} octets in Redis`);
  t.same(a.members.warnings, []);

  b.become({ sessions: 9 });
  await b.live();
  await a.live();
  t.equal(a.members.seen[1]?.sessions, 9);
  // Its lease is over.
  await cli('zadd', keys.leases, 'XX', '1', b.incarnation);
  t.same(await a.live(), ['edge-1']);
  t.equal(await cli('hlen', keys.members), '1', 'and nothing of it is left');
  t.same(await b.live(), ['edge-1', 'edge-2'], 'it lives');
});

t.test('another configuration is pointed out once, and when it is over', redis, async t => {
  const { port } = await startRedis(t);
  const a = member(t, port, report('edge-1', { fingerprint: fingerprint({ mx: 'a', lists: 'b' }) }));
  const b = member(t, port, report('edge-2', { fingerprint: fingerprint({ mx: 'x', new: 'c' }) }));
  await b.live();
  for (let times = 0; times < 3; times++) await a.live();
  const told =
    'the configuration of edge-2 is another one than here: pool lists is not there, pool mx differs, pool new is only there';
  t.same(
    a.members.warnings.map(text => text.split(/[:,] /).sort()),
    [told.split(/[:,] /).sort()],
  );
  t.equal(a.log.lines.filter(line => /the configuration of edge-2/.test(line)).length, 1);
  b.become({ fingerprint: fingerprint({ mx: 'a', lists: 'b' }) });
  await b.live();
  await a.live();
  t.same(a.members.warnings, []);
  t.equal(a.log.lines.filter(line => /no longer so: the configuration of edge-2/.test(line)).length, 1);
});

t.test('a restart is not counted twice, and a twin is pointed out', redis, async t => {
  const { port } = await startRedis(t);
  const watcher = member(t, port, report('edge-9'));
  const killed = member(t, port, report('edge-1'));
  await killed.live();
  await watcher.live();
  t.same(await watcher.others(), { 'mx/mx1': 1 });
  // From now on the first is silent; its lease runs on.
  const restarted = member(t, port, report('edge-1'));
  t.same(await restarted.live(), ['edge-1', 'edge-9']);
  await eventually('its counts once', async () => (await watcher.others())['mx/mx1'] === 1);
  t.same(await watcher.live(), ['edge-1', 'edge-9'], 'and itself once');
  await restarted.live(10_000);
  t.same(restarted.members.warnings, [], 'nothing is wrong with that');

  // Had it lived, it would be back with its next exchange.
  await eventually('an exchange that notices', async () => {
    await killed.live();
    return (await watcher.others())['mx/mx1'] === 2;
  });
  await restarted.live(10_000);
  t.match(restarted.members.warnings, [
    /^2 running instances are called edge-1 \(on here\.example\): give each/,
  ]);
  killed.become({ state: 'stopping' });
  await killed.live();
  await restarted.live();
  t.same(restarted.members.warnings, [], 'one that is stopping is none');
});

t.test('an upgrade leaves its predecessor alone, and so does another machine', redis, async t => {
  const { port } = await startRedis(t);
  const first = member(t, port, report('edge-1'));
  await first.live();
  const next = member(t, port, report('edge-1'), true);
  await next.live();
  await eventually('its counts', async () => (await next.others())['mx/mx1'] === 1);
  const far = member(t, port, report('edge-1', { host: 'there', hostName: 'there.example' }));
  await far.live();
  await eventually('the counts of both', async () => (await far.others())['mx/mx1'] === 2);
  t.same(far.members.warnings, [], 'not at once: a predecessor may be about to stop');
  await far.live(6_000);
  t.match(far.members.warnings, [
    /^3 running instances are called edge-1 \(on there\.example, here\.example\)/,
  ]);
});

t.test('without Redis the last that was seen is shown, and its age', redis, async t => {
  const { port, process } = await startRedis(t);
  const a = member(t, port, report('edge-1'));
  await a.live();
  await process.stop();
  await a.members.look();
  t.same(
    a.members.seen.map(({ instance }) => instance),
    ['edge-1'],
  );
});

t.test('what is no member is left out', redis, async t => {
  const { port, cli } = await startRedis(t);
  const a = member(t, port, report('edge-1'));
  await a.live();
  const soon = () => String(Date.now() + 4_000);
  const good = encodeMember(report('edge-2'));
  const bad = [
    'x',
    '5:',
    '5:{',
    '5:[]',
    '5:{"i":5}',
    `5:${good.replace('"edge-2"', JSON.stringify('x'.repeat(300)))}`,
    `5:${good.replace('"c":2', '"c":-2')}`,
    `5:${good.replace('"s":0', '"s":1e99')}`,
    `5:${good.replace(/"u":\d+/, '"u":9007199254740991')}`,
    `5:${good.replace('"p":{"mx":"a"}', '"p":{"mx":5}')}`,
    `5:${good.replace('"g":1', `"g":1,"x":"${'x'.repeat(9_000)}"`)}`,
    `${'9'.repeat(30)}:${good}`,
  ];
  await cli('hset', keys.members, ...bad.flatMap((value, at) => [`m${at}`, value]));
  await cli('zadd', keys.leases, ...bad.flatMap((_, at) => [soon(), `m${at}`]));
  t.same(await a.live(), ['edge-1']);
  await cli('hset', keys.members, 'm', `5:${good}`);
  await cli('zadd', keys.leases, soon(), 'm');
  t.same(await a.live(), ['edge-1', 'edge-2'], 'and a good one is not');
  await cli('set', keys.members, 'x');
  t.same(await a.live(), ['edge-1']);
});

t.test('what an instance says of itself is bounded and comes back as it was', async t => {
  const said = report('edge-1', { fingerprint: fingerprint({ mx: 'a', __proto__x: 'b' }) });
  t.same(decodeMember(encodeMember(said)), said);
  const many = Object.fromEntries(
    Array.from({ length: 64 }, (_, at) => [`${'p'.repeat(60)}${at}`, 'x'.repeat(64)]),
  );
  const large = decodeMember(
    encodeMember(report('edge-1', { fingerprint: { ...fingerprint(many), all: 'x' } })),
  );
  t.equal(large?.fingerprint.pools.size, 0, 'too many pools are not told one by one');
  t.same(differences({ ...fingerprint(many), all: 'x' }, large?.fingerprint ?? fingerprint()), []);
  t.same(differences({ ...fingerprint(), all: 'other' }, { ...fingerprint(), pools: new Map() }), [
    'pools differ',
  ]);
});
