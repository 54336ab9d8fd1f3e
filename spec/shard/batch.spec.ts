import t from 'tap';
import { createBatch } from '../../lib/shard/batch.ts';

t.test('everything is handed over once, in order, when there is enough or when asked', async t => {
  const delivered: (readonly number[])[] = [];
  const { add, flush } = createBatch<number>(3, items => delivered.push(items));
  flush();
  t.strictSame(delivered, [], 'nothing to say, nothing said');
  for (let item = 1; item <= 7; item++) add(item);
  t.strictSame(delivered, [
    [1, 2, 3],
    [4, 5, 6],
  ]);
  flush();
  flush();
  t.strictSame(delivered.slice(2), [[7]]);
});

t.test('who takes a batch may add to the next one, and may keep what it was given', async t => {
  const delivered: (readonly number[])[] = [];
  const batch = createBatch<number>(2, items => {
    delivered.push(items);
    if (items.includes(1)) batch.add(3);
  });
  batch.add(1);
  batch.add(2);
  batch.flush();
  t.strictSame(delivered, [[1, 2], [3]]);
});
