import t from 'tap';
import { leastConnections } from '../../lib/balancer/least-connections.ts';
import { waterLevel } from '../../lib/balancer/water-level.ts';
import { giveBack, openBoard, take } from '../../lib/core/board.ts';
import { endGrant, lowerGrant, raiseGrant, takeWants } from '../../lib/core/grant.ts';
import { OTHERS_BELIEVED_MS, OTHERS_FORGOTTEN_MS } from '../../lib/core/limits.ts';
import { applyOthers } from '../../lib/core/others.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { ANYONE, backend, bench, pool, unit } from './pools.ts';

t.test('water finds its level: what is poured is what stands over the ground', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  for (let round = 0; round < 2_000; round++) {
    const count = 1 + random.below(20);
    const heights = Float64Array.from({ length: count }, () => random.below(1_000) / 7);
    const widths = Float64Array.from({ length: count }, () => 1 + random.below(256));
    const amount = (1 + random.below(100_000)) / 100;
    const level = waterLevel(heights, widths, count, amount);
    const poured = heights.reduce(
      (sum, height, at) => sum + (widths[at] as number) * Math.max(level - height, 0),
      0,
    );
    if (Math.abs(poured - amount) > 1e-6 * amount + 1e-6)
      t.fail(`seed ${seed}: ${poured} poured, not ${amount}, over ${heights} as wide as ${widths}`);
  }
  t.pass('two thousand vessels');
});

/** What rows a shard chooses, when the others have `others` sessions and begin `rate` a second at each. */
function choices({
  others,
  own,
  rate = 0,
  ageMs = 0,
}: {
  others: number[];
  own: number[];
  rate?: number;
  ageMs?: number;
}) {
  const board = openBoard();
  for (const [row, slots] of own.entries()) board.backendSlots[row] = slots;
  applyOthers(
    board,
    others.map((sessions, row) => ({ row, sessions, sessionsPerSecond: rate })),
    ageMs,
    100_000,
  );
  const algorithm = leastConnections({ board, now: () => 100_000, random: unit(randomFrom(seedOfRun())) });
  const got = others.map(() => 0);
  for (let at = 0; at < 1_000; at++) {
    const { row } = algorithm(
      others.map((_, row) => backend(row)),
      ANYONE,
    );
    got[row] = (got[row] as number) + 1;
  }
  return got;
}

t.test('fresh counts of others decide like own ones', async t => {
  t.strictSame(choices({ others: [50, 20, 40], own: [5, 5, 5] }), [0, 1_000, 0]);
});

t.test('old counts only shift the chances: nobody runs to the one that looked the least loaded', async t => {
  const [most = 0, least = 0] = choices({ others: [130, 100], own: [1, 1], rate: 50, ageMs: 1_000 });
  t.ok(most > 200 && least > most, `${most} and ${least}`);
});

t.test('counts that nobody refreshes fade, until own counts decide alone', async t => {
  const uneven = { others: [0, 1_000], own: [11, 10] };
  t.strictSame(choices({ ...uneven, ageMs: OTHERS_BELIEVED_MS }), [1_000, 0], 'still believed');
  t.strictSame(choices({ ...uneven, rate: 50, ageMs: OTHERS_FORGOTTEN_MS }), [0, 1_000], 'no longer');
});

t.test('counts that make no sense count as nothing', async t => {
  const board = openBoard();
  const nonsense = [Number.NaN, -5, Number.POSITIVE_INFINITY, 1e300];
  applyOthers(
    board,
    nonsense.map((value, row) => ({ row, sessions: value, sessionsPerSecond: value })),
    -1,
    5,
  );
  t.strictSame([...board.backendOthers.subarray(0, 4)], [0, 0, 2 ** 31 - 1, 2 ** 31 - 1]);
  t.equal(board.othersAtMs[0], 5, 'nothing is from the future');
});

t.test('a limit over the cluster: no more than is granted, and the want of more is heard', async t => {
  const world = bench(pool([backend(0, { maxConnections: 10 })]));
  const { balancer, board } = world;
  t.equal(board.backendGrant[0], -1, 'a fresh board limits nothing');
  raiseGrant(board, 0, 2);
  t.match([balancer.select(ANYONE), balancer.select(ANYONE)], [{ name: 'b0' }, { name: 'b0' }]);
  t.equal(takeWants(board, 0), 0);
  t.equal(balancer.select(ANYONE), 'full');
  t.equal(takeWants(board, 0), 1);
  t.equal(takeWants(board, 0), 0, 'told once');
  t.equal(lowerGrant(board, 0, 1), 2, 'slots that are taken are kept');
  giveBack(board.backendSlots, 0);
  t.equal(balancer.select(ANYONE), 'full');
  t.equal(lowerGrant(board, 0, 0), 1);
  endGrant(board, 0);
  t.match(balancer.select(ANYONE), { name: 'b0' });
});

t.test('a grant that is lowered while a slot is being taken is not passed', async t => {
  const world = bench(pool([backend(0)]));
  const { balancer, board } = world;
  raiseGrant(board, 0, 3);
  take(board.backendSlots, 0, 3);
  // The control plane speaks between the shard's look at the grant and its taking of the slot.
  const load = Atomics.load;
  let looks = 0;
  const spy = ((array: Int32Array, row: number) => {
    const value = load(array, row);
    if (array === board.backendGrant && ++looks === 2) raiseGrant(board, 0, 1);
    return value;
  }) as typeof Atomics.load;
  Atomics.load = spy;
  t.teardown(() => {
    Atomics.load = load;
  });
  t.equal(balancer.select(ANYONE), 'full');
  t.equal(board.backendSlots[0], 1, 'it was given back');
});
