import t from 'tap';
import { shareOf } from '../../lib/shard/shares.ts';

t.test('the shares of all shards are the whole, and as even as can be', async t => {
  for (let places = 1; places <= 9; places++) {
    for (let whole = 0; whole <= 20; whole++) {
      const shares = Array.from({ length: places }, (_, place) => shareOf(whole, place, places));
      const uneven = Math.max(...shares) - Math.min(...shares) > 1;
      if (shares.reduce((sum, share) => sum + share, 0) !== whole || uneven)
        t.fail(`${whole} over ${places}: ${shares.join(' ')}`);
    }
  }
  t.equal(shareOf(7, -1, 3), 0, 'who does not serve has none');
});
