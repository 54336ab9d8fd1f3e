import { getHeapSpaceStatistics } from 'node:v8';
import t from 'tap';
import { Chain, type Link } from '../../lib/core/chain.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';

class Item implements Link<Item> {
  previous: Item | null = null;
  next: Item | null = null;
  readonly payload = new Array(100).fill(0);
}

t.test('whoever goes, the others stand in the order they came', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const chain = new Chain<Item>();
  const model: Item[] = [];
  for (let round = 0; round < 5_000; round++) {
    if (random.below(2) === 0 || model.length === 0) {
      const item = new Item();
      chain.add(item);
      model.push(item);
    } else {
      const [item] = model.splice(random.below(model.length), 1) as [Item];
      chain.remove(item);
      // It may come again, as the youngest.
      if (random.below(4) === 0) {
        chain.add(item);
        model.push(item);
      }
    }
    const found = chain.all();
    const isSame = found.length === model.length && found.every((item, at) => item === model[at]);
    if (isSame && chain.size === model.length) continue;
    return t.fail(`round ${round} of seed ${seed}: ${chain.size} items and not ${model.length}`);
  }
  t.pass(`seed ${seed}`);
});

t.test('who has gone is not kept until the next great collection', async t => {
  const oldOctets = () =>
    getHeapSpaceStatistics().find(space => space.space_name === 'old_space')?.space_used_size ?? 0;
  const chain = new Chain<Item>();
  const living: Item[] = [];
  const before = oldOctets();
  let grown = 0;
  for (let count = 0; count < 100_000; count++) {
    const item = new Item();
    chain.add(item);
    living.push(item);
    if (living.length > 20) chain.remove(living.shift() as Item);
    if (count % 1_000 === 0) grown = Math.max(grown, oldOctets() - before);
  }
  t.comment(`100,000 items of 0.9 KiB have come and gone: ${Math.round(grown / 1_024)} KiB more were in use`);
  t.ok(grown < 2_000_000, 'with a Set it is several times as much');
});
