import t from 'tap';
import type { CheckedBackend, CheckOptions } from '../../lib/health/options.ts';
import type { Outcome } from '../../lib/health/outcome.ts';
import { loopback } from '../support/free-port.ts';
import { checked } from './probing.ts';
import { stage } from './stage.ts';

/** A backend of pool mx, checked every 5 s with rise 2 and fall 3. */
function backend(name: string, more: Partial<CheckOptions> = {}, port = 25): CheckedBackend {
  return { ...checked(loopback(port), more), backend: name };
}

t.test('a backend is up until its first check says otherwise', async t => {
  const { monitor, next, changes, nowMs } = stage();
  monitor.update([backend('b1')]);
  t.match(monitor.of('mx', 'b1'), { health: 'up', checked: true, outcome: null, atMs: null, sinceMs: nowMs });
  const first = await next(2_000);
  await first.answer('refused');
  t.same(changes, ['mx/b1 down']);
  t.match(monitor.of('mx', 'b1'), {
    health: 'down',
    outcome: 'refused',
    detail: 'it is refused',
    durationMs: 12,
    consecutive: 1,
    atMs: first.atMs,
    sinceMs: first.atMs,
  });
  await monitor.stop();
});

t.test('rise and fall, with the time of the last change', async t => {
  const world = stage();
  const { monitor } = world;
  monitor.update([backend('b1')]);
  const play = async (...outcomes: Outcome[]) => {
    for (const outcome of outcomes) await (await world.next()).answer(outcome);
    return world.changes.length;
  };
  t.equal(
    await play('ok', 'timeout', 'reset', 'ok', 'refused', 'refused'),
    0,
    'bad ones, but not three in a row',
  );
  t.equal(await play('refused'), 1);
  const downAt = world.nowMs;
  t.equal(await play('ok', 'busy', 'ok'), 1, 'good ones, but not two in a row');
  t.match(monitor.of('mx', 'b1'), { health: 'down', sinceMs: downAt, consecutive: 1 });
  t.equal(await play('ok'), 2);
  t.same(world.changes, ['mx/b1 down', 'mx/b1 up']);
  t.equal(world.results.length, world.probes.length);
  await monitor.stop();
});

t.test('a backend that flaps faster than it rises stays down; faster than it falls, up', async t => {
  const world = stage();
  world.monitor.update([backend('up'), backend('down')]);
  const seen = new Map<string, number>();
  for (let count = 0; count < 200; count++) {
    const probe = await world.next();
    const name = probe.backend.backend;
    const turn = seen.get(name) ?? 0;
    seen.set(name, turn + 1);
    await probe.answer((turn % 2 === 0) === (name === 'up') ? 'ok' : 'refused');
  }
  t.same(world.changes, ['mx/down down'], 'one change in 200 checks');
  await world.monitor.stop();
});

t.test('our own faults count neither way', async t => {
  const world = stage();
  world.monitor.update([backend('b1')]);
  for (const outcome of ['failed', 'failed', 'ok', 'refused', 'failed', 'refused', 'failed'] as const)
    await (await world.next()).answer(outcome);
  t.same(world.changes, []);
  t.match(world.monitor.of('mx', 'b1'), { health: 'up', outcome: 'failed', consecutive: 2 });
  await (await world.next()).answer('refused');
  t.same(world.changes, ['mx/b1 down'], 'nor do they break a row');
  await world.monitor.stop();
});

t.test('checks are spread and jittered', async t => {
  let seed = 7;
  const world = stage(() => {
    seed = (seed * 16_807) % 2_147_483_647;
    return seed / 2_147_483_647;
  });
  const startedAt = world.nowMs;
  world.monitor.update(Array.from({ length: 100 }, (_, at) => backend(`b${at}`)));
  for (let count = 0; count < 1_000; count++) await (await world.next()).answer('ok');
  const firsts = world.probes.slice(0, 100).map(({ atMs }) => atMs - startedAt);
  t.ok(
    Math.max(...firsts) <= 2_000 && Math.max(...firsts) - Math.min(...firsts) > 1_500,
    'the first ones over two seconds',
  );
  const gaps: number[] = [];
  const last = new Map<string, number>();
  for (const { backend, atMs } of world.probes) {
    const before = last.get(backend.backend);
    if (before !== undefined) gaps.push(atMs - before);
    last.set(backend.backend, atMs);
  }
  t.ok(
    Math.min(...gaps) >= 4_500 && Math.max(...gaps) <= 5_500,
    `${Math.min(...gaps)} to ${Math.max(...gaps)} ms`,
  );
  t.ok(Math.max(...gaps) - Math.min(...gaps) > 800, 'and not always the same');
  await world.monitor.stop();
});

t.test('one check at a time, however long it takes', async t => {
  const world = stage();
  world.monitor.update([backend('b1')]);
  const first = await world.next();
  await world.pass(60_000);
  for (let count = 0; count < 50; count++) world.monitor.recheck('mx', 'b1');
  await world.pass(60_000);
  t.equal(world.probes.length, 1);
  await first.answer('timeout', { closeLater: true });
  t.same(world.changes, ['mx/b1 down'], 'a result counts at once');
  await world.pass(60_000);
  t.equal(world.probes.length, 1, 'but its socket must be gone before the next');
  await first.close();
  await (await world.next(0)).answer('ok');
  await world.monitor.stop();
});

t.test('a passive failure brings the next check forward, once a second at most', async t => {
  const world = stage();
  const { monitor } = world;
  monitor.update([backend('b1', { intervalMs: 60_000 })]);
  monitor.recheck('mx', 'b1');
  await (await world.next(0)).answer('ok');
  const startedAt = world.nowMs;
  for (let count = 0; count < 1_000; count++) {
    monitor.recheck('mx', 'b1');
    await world.pass(10);
    const probe = world.probes.at(-1);
    await probe?.answer('refused');
  }
  t.equal(world.probes.length, 11, 'a thousand failed sessions in ten seconds: ten more checks');
  t.equal((world.probes[1]?.atMs ?? 0) - startedAt, 1_000);
  t.same(world.changes, ['mx/b1 down'], 'three seconds, not three minutes');
  await world.pass(50_000);
  t.equal(world.probes.length, 11, 'and then all is as it was');
  await (await world.next(10_000)).answer('refused');
  monitor.recheck('mx', 'nobody');
  monitor.recheck('nowhere', 'b1');
  await monitor.stop();
});

t.test('one passive failure is enough to find out', async t => {
  const world = stage();
  world.monitor.update([backend('b1', { intervalMs: 60_000 })]);
  await (await world.next()).answer('ok');
  const startedAt = world.nowMs + 10_000;
  await world.pass(10_000);
  world.monitor.recheck('mx', 'b1');
  for (let count = 0; count < 3; count++) await (await world.next(1_000)).answer('reset');
  t.same(world.changes, ['mx/b1 down']);
  t.equal(world.nowMs - startedAt, 2_000, 'three checks in two seconds');
  await world.pass(57_000);
  t.equal(world.probes.length, 4, 'a backend that is down is checked at its interval');
  await world.monitor.stop();
});

t.test('a passive failure that checks deny changes nothing', async t => {
  const world = stage();
  world.monitor.update([backend('b1', { intervalMs: 60_000 })]);
  await (await world.next()).answer('ok');
  await world.pass(10_000);
  world.monitor.recheck('mx', 'b1');
  await (await world.next(0)).answer('reset');
  await (await world.next(1_000)).answer('ok');
  await world.pass(59_000);
  t.equal(world.probes.length, 3);
  t.same(world.changes, []);
  await world.monitor.stop();
});

t.test('a passive failure during a check asks for one more', async t => {
  const world = stage();
  world.monitor.update([backend('b1', { intervalMs: 60_000 })]);
  const first = await world.next();
  await world.pass(300);
  world.monitor.recheck('mx', 'b1');
  await first.answer('ok');
  const second = await world.next(700);
  t.equal(second.atMs - first.atMs, 1_000);
  await second.answer('ok');
  await world.monitor.stop();
});

t.test('a reload keeps what it does not change', async t => {
  const world = stage();
  const { monitor, changes } = world;
  monitor.update([
    backend('stays'),
    backend('moves'),
    backend('goes'),
    backend('tuned', { intervalMs: 3_600_000 }),
  ]);
  for (let count = 0; count < 4; count++) await (await world.next(2_000)).answer('refused', { days: 5 });
  t.equal(changes.length, 4);

  const again = [
    backend('stays'),
    backend('moves', {}, 26),
    backend('tuned', { rise: 1 }),
    backend('new'),
    backend('off', { type: 'none' }),
  ];
  monitor.update(again);
  t.equal(changes.length, 4, 'a reload is no change of health');
  t.match(monitor.of('mx', 'stays'), { health: 'down', consecutive: 1, certificateDaysLeft: 5 });
  t.match(monitor.of('mx', 'tuned'), { health: 'down' }, 'another interval, the same backend');
  t.match(monitor.of('mx', 'moves'), { health: 'up', outcome: null }, 'another address, another backend');
  for (const name of ['goes', 'off']) t.match(monitor.of('mx', name), { health: 'up', checked: false });
  t.same(
    monitor.all().map(({ pool, backend, health }) => `${pool}/${backend} ${health}`),
    ['mx/stays down', 'mx/tuned down', 'mx/moves up', 'mx/new up'],
  );

  await world.pass(2_000);
  for (const probe of world.probes.slice(4)) await probe.answer('ok');
  await world.pass(5_000);
  t.ok(
    world.probes.slice(4).some(({ backend }) => backend.backend === 'tuned'),
    'a shorter interval holds at once',
  );
  t.notOk(world.probes.slice(4).some(({ backend }) => backend.backend === 'goes'));
  t.ok(
    world.probes
      .slice(4)
      .every(({ backend }) => backend.backend !== 'moves' || JSON.stringify(backend.address).includes('26')),
  );
  for (const probe of world.probes.slice(4)) await probe.answer('ok');
  t.match(changes.slice(4), ['mx/tuned up'], 'with the new rise');
  await monitor.stop();
});

t.test('a backend that is taken out in the middle of a check is not heard of again', async t => {
  const world = stage();
  world.monitor.update([backend('b1')]);
  const probe = await world.next();
  const answered = probe.answer('refused');
  world.monitor.update([]);
  t.ok(probe.cancelled);
  await answered;
  t.same([world.changes, world.results, world.monitor.all()], [[], [], []]);
  t.equal(world.timers, 0);
});

t.test('stop leaves nothing', async t => {
  const world = stage();
  world.monitor.update([backend('b1'), backend('b2'), backend('b3')]);
  const probe = await world.next();
  let stopped = false;
  const stopping = world.monitor.stop().then(() => {
    stopped = true;
  });
  t.ok(probe.cancelled);
  t.equal(world.timers, 0, 'no timer');
  await world.pass(10_000);
  t.notOk(stopped, 'a socket is still open');
  await probe.close();
  await stopping;
  t.equal(world.open, 0);
  world.monitor.update([backend('b4')]);
  world.monitor.recheck('mx', 'b4');
  t.equal(world.timers, 0, 'nor does it begin again');
  t.same(world.results, []);
});

t.test('what was counted', async t => {
  const world = stage();
  world.monitor.update([backend('b1')]);
  for (const outcome of ['ok', 'ok', 'refused'] as const) await (await world.next()).answer(outcome);
  const [counts, ...others] = world.monitor.results();
  t.same(others, []);
  t.match(counts, { pool: 'mx', backend: 'b1' });
  t.same(
    [counts?.outcomes.get('ok'), counts?.outcomes.get('refused'), counts?.outcomes.get('reset')],
    [2, 1, 0],
  );
  const { buckets, sum } = counts?.seconds ?? { buckets: [], sum: 0 };
  t.equal(buckets.length, 16);
  t.equal(buckets[4], 3, '12 ms are at most 25 ms');
  t.ok(Math.abs(sum - 0.036) < 1e-9);
  await world.monitor.stop();
});
