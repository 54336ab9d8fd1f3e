/** Checks that a few instances make for all: real probes, a real Redis, a backend that counts who comes. */
import t from 'tap';
import { createSharedChecks } from '../../lib/cluster/checks.ts';
import { keysOf } from '../../lib/cluster/keys.ts';
import { openLink } from '../../lib/cluster/link.ts';
import type { Address } from '../../lib/core/address.ts';
import { createMonitor, type Monitor } from '../../lib/health/monitor.ts';
import type { CheckedBackend } from '../../lib/health/options.ts';
import { checked } from '../health/probing.ts';
import { eventually } from '../support/eventually.ts';
import { refusingAddress } from '../support/free-port.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { recordedLog } from '../support/recorded-log.ts';
import { redisUrl, startRedis } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';

const redis = needs('redis-server', 'redis-cli');
const { prefix } = keysOf('edge');
const INTERVAL_MS = 200;
const MANY = 12;

/** Backends b0 to b11 of pool mx, all at one address, each checked by three. */
const backendsAt = (address: Address, instances = 3): CheckedBackend[] =>
  Array.from({ length: MANY }, (_, at) => ({
    ...checked(address, { intervalMs: INTERVAL_MS, timeoutMs: 10_000, instances }),
    backend: `b${at}`,
  }));

interface Checker {
  readonly monitor: Monitor;
  /** How many backends it checks itself. */
  checks(): number;
  readonly changes: string[];
  /** As if it had been killed. */
  kill(): Promise<void>;
  leave(): Promise<void>;
}

function checker(owner: Owner, name: string, port: number): Checker {
  const link = openLink(redisUrl(port), recordedLog());
  const changes: string[] = [];
  const sharing = createSharedChecks({
    link,
    prefix,
    incarnation: `run-of-${name}`,
    instance: name,
    own: () => monitor.findings(),
    onNews: () => monitor.settle(),
  });
  const monitor: Monitor = createMonitor({
    sharing: () => sharing,
    onChange: (_, backend, { health }) => changes.push(`${backend} ${health}`),
  });
  const ticking = setInterval(() => sharing.tick(), 50);
  const kill = async () => {
    clearInterval(ticking);
    link.close();
    await monitor.stop();
  };
  owner.teardown(kill);
  return {
    monitor,
    changes,
    checks: () => monitor.all().filter(({ isCheckedHere }) => isCheckedHere).length,
    kill,
    async leave() {
      await sharing.leave();
      await kill();
    },
  };
}

const allChecked = (checkers: readonly Checker[], times: number) =>
  eventually(`each backend to have ${times} checkers`, () => {
    const made = checkers.reduce((sum, each) => sum + each.checks(), 0);
    if (made !== MANY * times) throw new Error(`${made}`);
    return true;
  });

const health = ({ monitor }: Checker, backend = 'b0') => monitor.of('mx', backend).health;

t.test('checks at a backend do not grow with the cluster, and go on when instances go', redis, async t => {
  const { port, process, cli } = await startRedis(t);
  const backend = await startScriptedBackend(t, smtp());
  const crowd: Checker[] = [];
  const rates: string[] = [];
  const measure = async (instances: number) => {
    const [before, from] = [backend.connections.length, performance.now()];
    await eventually('a round of checks', () => performance.now() - from > 1_000);
    const rate = ((backend.connections.length - before) * INTERVAL_MS) / (performance.now() - from) / MANY;
    rates.push(`${instances} instances: ${rate.toFixed(2)}`);
    return rate;
  };
  for (const size of [1, 4, 8]) {
    while (crowd.length < size) {
      const one = checker(t, `edge-${crowd.length + 1}`, port);
      one.monitor.update(backendsAt(backend.address));
      crowd.push(one);
    }
    await allChecked(crowd, Math.min(3, size));
    const rate = await measure(size);
    t.ok(rate < Math.min(3, size) * 1.3, `${rate.toFixed(2)} checks of a backend in an interval`);
  }
  t.comment(`checks of a backend in an interval, three asked for: ${rates.join(', ')}`);
  const spread = crowd.map(each => each.checks());
  t.ok(Math.max(...spread) <= MANY * 0.75, `the work is spread: ${spread.join(', ')}`);
  const stranger = crowd.find(({ monitor }) => !monitor.of('mx', 'b0').isCheckedHere) as Checker;
  const seen = stranger.monitor.of('mx', 'b0');
  t.match(seen, { health: 'up', outcome: 'ok', detail: /^as found by edge-\d, edge-\d, edge-\d$/ });
  t.equal(seen.checkers?.length, 3);
  const octets = Number(await cli('memory', 'usage', `${prefix}checks`)) / 8;
  t.comment(`${octets.toFixed()} octets in Redis for each instance, with ${MANY} backends`);

  const leaving = crowd.shift() as Checker;
  await leaving.leave();
  await allChecked(crowd, 3);
  const killed = crowd.shift() as Checker;
  await killed.kill();
  // As if five seconds had passed in Redis.
  await cli('zadd', `${prefix}checkers`, 'XX', '1', 'run-of-edge-2');
  await allChecked(crowd, 3);

  await process.stop();
  await allChecked(crowd, crowd.length);
  t.same(
    crowd.flatMap(({ changes }) => changes),
    [],
    'nothing of all this has changed the health of a backend',
  );
});

t.test('the majority decides for those who do not check; own eyes come first', redis, async t => {
  const { port } = await startRedis(t);
  const backend = await startScriptedBackend(t, smtp());
  const gone = await refusingAddress();
  const crowd = ['a', 'b', 'c', 'd', 'e'].map(name => checker(t, name, port));
  for (const { monitor } of crowd) monitor.update(backendsAt(backend.address));
  await allChecked(crowd, 3);
  await eventually('results', () => crowd.every(({ monitor }) => monitor.of('mx', 'b0').outcome === 'ok'));
  const isChecker = ({ monitor }: Checker) => monitor.of('mx', 'b0').isCheckedHere;
  const [one, two] = crowd.filter(isChecker) as [Checker, Checker];
  const strangers = crowd.filter(each => !isChecker(each));
  t.equal(strangers.length, 2);

  // One alone cannot reach the backends any more.
  one.monitor.update(backendsAt(gone));
  await eventually('its own eyes', () => health(one) === 'down');
  await eventually('told', () => two.monitor.of('mx', 'b0').outcome === 'ok');
  t.ok(
    crowd.every(each => each === one || health(each) === 'up'),
    'for all others it is up',
  );
  two.monitor.update(backendsAt(gone));
  const from = performance.now();
  await eventually('the majority', () => strangers.every(each => health(each) === 'down'));
  t.comment(`down for those who do not check ${(performance.now() - from).toFixed()} ms after it went`);
  t.equal(crowd.filter(each => health(each) === 'up').length, 1, 'the third checker sees it well');
  t.match(strangers[0]?.monitor.of('mx', 'b0'), { health: 'down', outcome: 'refused' });

  one.monitor.update(backendsAt(backend.address));
  two.monitor.update(backendsAt(backend.address));
  await eventually('back', () => crowd.every(each => health(each) === 'up'));
});

t.test('nonsense in Redis is left out, and a wiped Redis is whole again', redis, async t => {
  const { port, cli } = await startRedis(t);
  const backend = await startScriptedBackend(t, smtp());
  const crowd = ['a', 'b'].map(name => checker(t, name, port));
  for (const { monitor } of crowd) monitor.update(backendsAt(backend.address, 1));
  await allChecked(crowd, 1);
  const member = async (text: string) => {
    await cli('hset', `${prefix}checks`, 'x', text, '#', `changed ${text.length}`);
    await cli('zadd', `${prefix}checkers`, String(Date.now() + 3_000), 'x');
  };
  const spoil: [string, () => Promise<unknown>][] = [
    ['no JSON', () => member('hello')],
    ['other words', () => member('{"n":"x","r":{"mx/b0":"sideways"}}')],
    ['no name', () => member('{"r":{"mx/b0":"down refused"}}')],
    ['a list', () => member('[]')],
    ['an outcome from elsewhere', () => member('{"n":"x","r":{"mx/b0":"down toString"}}')],
    ['a string for all', () => cli('set', `${prefix}checks`, 'x')],
    [
      'a list for the leases',
      () =>
        cli('eval', "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 1)", '1', `${prefix}checkers`),
    ],
    ['wiped', () => cli('flushall')],
  ];
  for (const [what, write] of spoil) {
    await write();
    await eventually(`all well after: ${what}`, async () => {
      const fields = await cli('hkeys', `${prefix}checks`).catch(() => '');
      return fields.includes('run-of-a') && fields.includes('run-of-b');
    });
    await allChecked(crowd, 1);
  }
  t.same(
    crowd.flatMap(({ changes }) => changes),
    [],
  );
});
