import t from 'tap';
import { openBoard } from '../../lib/core/board.ts';
import { FAULT_CODES, FAULTS } from '../../lib/core/fault.ts';
import { beginTrial, recordFailure, recordSuccess, standing } from '../../lib/pool/passive-health.ts';
import type { BackendSnapshot } from '../../lib/pool/snapshot.ts';
import { ANYONE, backend, bench, PASSIVE_HEALTH, pool } from '../balancer/pools.ts';

const { failures, pauseMs, maxPauseMs } = PASSIVE_HEALTH;

t.test('a backend is left after so many failures in a row, and not before', async t => {
  const board = openBoard();
  for (let at = 1; at < failures; at++) t.equal(recordFailure(board, 0, 10, 10, PASSIVE_HEALTH), 0);
  t.equal(standing(board, 0, 10), 'trusted');
  t.equal(recordSuccess(board, 0), false, 'a good one in between: nothing to tell');
  for (let at = 1; at < failures; at++)
    t.equal(recordFailure(board, 0, 10, 10, PASSIVE_HEALTH), 0, 'counted anew');
  t.equal(recordFailure(board, 0, 10, 10, PASSIVE_HEALTH), pauseMs);
  t.equal(standing(board, 0, 10), 'ejected');
  t.equal(standing(board, 0, 10 + pauseMs - 0.1), 'ejected');
  t.equal(standing(board, 0, 10 + pauseMs), 'due');
  t.equal(standing(board, 1, 10), 'trusted', 'its neighbour has done nothing');
});

t.test('each trial in vain doubles the pause, up to its bound', async t => {
  const board = openBoard();
  let nowMs = 10;
  const pauses: number[] = [];
  for (let at = 1; at < failures; at++) recordFailure(board, 0, nowMs, nowMs, PASSIVE_HEALTH);
  for (let trial = 0; trial < 40; trial++) {
    const pause = recordFailure(board, 0, nowMs, nowMs, PASSIVE_HEALTH);
    pauses.push(pause);
    nowMs += pause;
    t.equal(standing(board, 0, nowMs), 'due');
    beginTrial(board, 0, nowMs, PASSIVE_HEALTH);
    t.equal(standing(board, 0, nowMs), 'ejected', 'the others stay away');
  }
  t.strictSame(pauses.slice(0, 6), [1_000, 2_000, 4_000, maxPauseMs, maxPauseMs, maxPauseMs]);
  t.ok(pauses.every(pause => pause <= maxPauseMs));
  t.equal(recordSuccess(board, 0), true, 'it is back');
  t.equal(standing(board, 0, nowMs), 'trusted');
  for (let at = 1; at < failures; at++) recordFailure(board, 0, nowMs, nowMs, PASSIVE_HEALTH);
  t.equal(
    recordFailure(board, 0, nowMs, nowMs, PASSIVE_HEALTH),
    pauseMs,
    'and the next pause is a short one',
  );
});

t.test('sessions that were given the backend before it was left say nothing new', async t => {
  const board = openBoard();
  for (let at = 0; at < failures; at++) recordFailure(board, 0, 10, 100, PASSIVE_HEALTH);
  for (let at = 0; at < 500; at++) t.equal(recordFailure(board, 0, 50, 200, PASSIVE_HEALTH), 0);
  t.equal(standing(board, 0, 100 + pauseMs), 'due', 'the pause is as long as it was');
});

t.test('one session tries, the others go elsewhere, and it is back with the first greeting', async t => {
  const world = bench(pool([backend(0), backend(1)]));
  const { balancer, clock, events } = world;
  const dead = world.balancer.pool.backends[0] as BackendSnapshot;
  for (let at = 0; at < failures; at++) balancer.failed(dead, 'refused', clock.nowMs);
  t.strictSame(events, [
    { pool: 'mx', backend: 'b0', event: 'suspected', fault: 'refused' },
    { pool: 'mx', backend: 'b0', event: 'ejected', fault: 'refused', pauseMs },
  ]);
  const rows = (count: number) =>
    Array.from({ length: count }, () => (balancer.select(ANYONE) as BackendSnapshot).row);
  t.ok(rows(20).every(row => row === 1));

  clock.nowMs += pauseMs;
  const tried = rows(20);
  t.equal(tried[0], 0, 'the next session tries it, loaded or not');
  t.ok(
    tried.slice(1).every(row => row === 1),
    'and only that one',
  );
  balancer.failed(dead, 'connect-timeout', clock.nowMs);
  t.match(events[2], { event: 'ejected', fault: 'connect-timeout', pauseMs: 2 * pauseMs });

  clock.nowMs += 2 * pauseMs;
  t.equal(rows(1)[0], 0);
  balancer.succeeded(dead);
  balancer.succeeded(dead);
  t.strictSame(events.slice(3), [{ pool: 'mx', backend: 'b0', event: 'returned' }], 'told once');
  t.equal(world.stats.backends.get(0, 'ejections'), 2);
  t.ok(rows(20).includes(0));
});

t.test('a trial whose outcome never comes is followed by another one', async t => {
  const world = bench(pool([backend(0)]));
  const { balancer, clock } = world;
  const [dead] = balancer.pool.backends as [BackendSnapshot];
  for (let at = 0; at < failures; at++) balancer.failed(dead, 'refused', clock.nowMs);
  clock.nowMs += pauseMs;
  t.equal(balancer.select(ANYONE), dead);
  t.equal(balancer.select(ANYONE), 'none');
  clock.nowMs += pauseMs;
  t.equal(balancer.select(ANYONE), dead);
});

t.test('all shards leave a dead backend together', async t => {
  const snapshot = pool([backend(0), backend(1)]);
  const board = openBoard();
  const shards = [0, 1, 2].map(() => bench(snapshot, { board }));
  const dead = snapshot.backends[0] as BackendSnapshot;
  for (const { balancer, clock } of shards) balancer.failed(dead, 'reset-early', clock.nowMs);
  t.strictSame(
    shards.map(({ events }) => events.map(({ event }) => event)),
    [['suspected'], [], ['ejected']],
    'told by the shards that met the first failure and the last',
  );
  t.ok(shards.every(({ balancer }) => (balancer.select(ANYONE) as BackendSnapshot).row === 1));
});

t.test('only faults that are the backend’s count, and all are seen in the metrics', async t => {
  for (const code of FAULT_CODES) {
    const world = bench(pool([backend(0)]));
    const [only] = world.balancer.pool.backends as [BackendSnapshot];
    for (let at = 0; at < failures; at++) world.balancer.failed(only, code, world.clock.nowMs);
    const told = world.events.map(({ event }) => event);
    t.strictSame(told, FAULTS[code].blamesBackend ? ['suspected', 'ejected'] : [], code);
    t.equal(world.stats.backends.get(0, code), failures);
  }
});
