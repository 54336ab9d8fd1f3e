import t from 'tap';
import { differences, mean, median, percentile, ratios, summarize, visits } from '../../bench/stats.ts';

t.test('median', async t => {
  t.equal(median([]), undefined);
  t.equal(median([7]), 7);
  t.equal(median([9, 1, 5]), 5);
  t.equal(median([10, 9, 1, 2]), 5.5, 'of an even number, the mean of the middle two');
  t.equal(median([100, 20, 3]), 20, 'numbers, not text, are sorted');
  const values = [3, 1, 2];
  median(values);
  t.strictSame(values, [3, 1, 2], 'the argument stays as it was');
});

t.test('mean', async t => {
  t.equal(mean([]), undefined);
  t.equal(mean([1, 2, 6]), 3);
});

t.test('percentile gives a value that was measured', async t => {
  const hundred = Array.from({ length: 100 }, (_, at) => 100 - at);
  t.equal(percentile(hundred, 0.5), 50);
  t.equal(percentile(hundred, 0.99), 99);
  t.equal(percentile(hundred, 1), 100);
  t.equal(percentile(hundred, 0), 1);
  t.equal(percentile(hundred, 0.999), 100, 'the largest where there are too few for the share');
  t.equal(percentile([4, 8], 0.5), 4);
  t.equal(percentile([4, 8], 0.51), 8);
  t.equal(percentile([], 0.5), undefined);
});

t.test('a summary leaves out rounds without a value and keeps their place', async t => {
  t.strictSame(summarize([4, undefined, 2, 9]), { median: 4, min: 2, max: 9, rounds: [4, undefined, 2, 9] });
  t.equal(summarize([undefined, undefined]), undefined);
  t.equal(summarize([]), undefined);
});

t.test('ratios are taken round by round', async t => {
  // The machine was twice as slow in the second round: both suffered, the ratio did not.
  t.strictSame(ratios([100, 200, 100], [50, 100, 50]), [2, 2, 2]);
  t.strictSame(ratios([100, 200], [100, undefined]), [1, undefined]);
  t.strictSame(ratios([undefined, 5], [1, 5]), [undefined, 1]);
  t.strictSame(ratios([3, 3, 3], [0, -1, 3]), [undefined, undefined, 1], 'none to nothing, none to less');
  t.strictSame(ratios([1, 2], [1]), [1, undefined], 'none where the base has no such round');
});

t.test('the median of ratios is not the ratio of medians', async t => {
  const [mine, base] = [
    [10, 200, 30],
    [10, 100, 60],
  ];
  t.equal(summarize(ratios(mine, base))?.median, 1);
  t.equal((median(mine) ?? 0) / (median(base) ?? 0), 0.5);
});

t.test('differences are taken round by round', async t => {
  t.strictSame(differences([5, 3, undefined], [1, 4, 1]), [4, -1, undefined]);
  t.strictSame(differences([5], []), [undefined]);
});

t.test('a round goes there and back', async t => {
  t.strictSame(visits(['a', 'b'], 0, 2), ['a', 'b', 'b', 'a']);
  t.strictSame(visits(['a', 'b'], 1, 2), ['a', 'b', 'b', 'a']);
  t.strictSame(visits(['a', 'b', 'c'], 0, 1), ['a', 'b', 'c']);
  t.strictSame(visits(['a', 'b', 'c'], 1, 1), ['c', 'b', 'a'], 'or there, and back in the next');
});

t.test('under a steady drift, there and back gives every subject the same share of it', async t => {
  const order = visits(['a', 'b', 'c', 'd'], 0, 2);
  const drift = (subject: string) => mean(order.flatMap((name, at) => (name === subject ? [at] : [])));
  t.strictSame(['a', 'b', 'c', 'd'].map(drift), [3.5, 3.5, 3.5, 3.5]);
});
