import t from 'tap';
import { openCounterTable, openHistogramTable, openRegion } from '../../lib/core/counters.ts';
import { FAULT_CODES } from '../../lib/core/fault.ts';
import { MAX_BACKENDS, MAX_LISTENERS, MAX_POOLS } from '../../lib/core/limits.ts';
import { openShardStats, terminationColumn } from '../../lib/core/shard-stats.ts';
import { CAUSE_NAMES, PHASE_NAMES } from '../../lib/core/termination.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';

const shared = () => openRegion(new SharedArrayBuffer(65_536));

t.test('each counter is its own: rows and columns do not run into each other', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const region = shared();
  const columns = ['a', 'b', 'c'] as const;
  const tables = [openCounterTable(region, 10, columns), openCounterTable(region, 5, columns)];
  const expected = new Map<string, number>();
  for (let round = 0; round < 5_000; round++) {
    const at = random.below(2);
    const [row, column, amount] = [
      random.below(at === 0 ? 10 : 5),
      random.pick(columns),
      random.below(1_000),
    ];
    tables[at]?.add(row, column, amount);
    const key = `${at} ${row} ${column}`;
    expected.set(key, (expected.get(key) ?? 0) + amount);
  }
  const wrong = [...expected].filter(([key, value]) => {
    const [at, row, column] = key.split(' ');
    return tables[Number(at)]?.get(Number(row), column as 'a') !== value;
  });
  t.strictSame(wrong, [], `seed ${seed}`);
  tables[0]?.clear(3);
  t.strictSame(
    columns.map(column => tables[0]?.get(3, column)),
    [0, 0, 0],
    'a row is clean for its next owner',
  );
  t.equal(tables[0]?.get(4, 'a'), expected.get('0 4 a') ?? 0, 'and its neighbour is as it was');
});

t.test('a counter of bytes does not wrap at 32 bits', async t => {
  const table = openCounterTable(shared(), 1, ['bytes']);
  for (let at = 0; at < 3; at++) table.add(0, 'bytes', 2 ** 40 + 1);
  t.equal(table.get(0, 'bytes'), 3 * 2 ** 40 + 3);
});

t.test('an observation falls into the first bucket it is not above, and into exactly one', async t => {
  const histogram = openHistogramTable(shared(), 2, [1, 2, 5]);
  for (const value of [0, 1, 1.5, 2, 5, 5.1, Number.POSITIVE_INFINITY]) histogram.observe(0, value);
  t.strictSame(histogram.read(0).buckets, [2, 2, 1, 2]);
  t.strictSame(histogram.read(1), { buckets: [0, 0, 0, 0], sum: 0 }, 'the other row saw nothing');
  histogram.observe(1, 3);
  t.strictSame(histogram.read(1), { buckets: [0, 0, 1, 0], sum: 3 });
  histogram.clear(0);
  t.strictSame(histogram.read(0), { buckets: [0, 0, 0, 0], sum: 0 });
  t.strictSame(histogram.read(1), { buckets: [0, 0, 1, 0], sum: 3 });
});

t.test('a histogram agrees with a naive one on any observations', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const bounds = [0.001, 0.01, 0.1, 1, 10];
  const histogram = openHistogramTable(shared(), 1, bounds);
  const values = Array.from(
    { length: 5_000 },
    () => 10 ** (random.below(6) - 4) * (random.below(2_000) / 1_000),
  );
  for (const value of values) histogram.observe(0, value);
  const { buckets, sum } = histogram.read(0);
  const inBucket = (at: number) =>
    values.filter(value => value <= (bounds[at] ?? Infinity) && value > (bounds[at - 1] ?? -Infinity)).length;
  t.strictSame(
    buckets,
    [...bounds, Infinity].map((_, at) => inBucket(at)),
    `seed ${seed}`,
  );
  t.ok(Math.abs(sum - values.reduce((a, b) => a + b, 0)) < 1e-6);
});

t.test('what a shard counts has a place in shared memory, and another thread reads the same', async t => {
  const stats = openShardStats();
  const elsewhere = openShardStats(stats.memory);
  t.comment(`${(stats.memory.byteLength / 1_048_576).toFixed(1)} MiB a shard`);
  const [listener, pool, backend] = [MAX_LISTENERS - 1, MAX_POOLS - 1, MAX_BACKENDS - 1];
  let value = 0;
  const columns = CAUSE_NAMES.flatMap(cause => PHASE_NAMES.map(phase => terminationColumn(cause, phase)));
  for (const column of columns) stats.listeners.add(listener, column, ++value);
  for (const code of FAULT_CODES) stats.pools.add(pool, `retry/${code}`, ++value);
  for (const code of FAULT_CODES) stats.backends.add(backend, code, ++value);
  stats.loopLagSeconds.observe(0, 0.5);
  const read = [
    ...columns.map(column => elsewhere.listeners.get(listener, column)),
    ...FAULT_CODES.map(code => elsewhere.pools.get(pool, `retry/${code}`)),
    ...FAULT_CODES.map(code => elsewhere.backends.get(backend, code)),
  ];
  t.strictSame(
    read,
    read.map((_, at) => at + 1),
    'each counter has a place of its own',
  );
  t.equal(elsewhere.loopLagSeconds.read(0).sum, 0.5);
  t.equal(elsewhere.sessionSeconds.read(0).sum, 0);
});
