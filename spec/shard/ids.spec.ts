import t from 'tap';
import { PROXY_UNIQUE_ID_OCTETS } from '../../lib/core/limits.ts';
import { createIds } from '../../lib/shard/ids.ts';

t.test('no two sessions have the same id, over shards and restarts', async t => {
  const makers = Array.from({ length: 50 }, () => createIds());
  const ids = makers.flatMap(next => Array.from({ length: 1_000 }, next));
  t.equal(new Set(ids).size, 50_000);
  t.ok(
    ids.every(id => /^[A-Za-z0-9_-]+-[a-z0-9]+$/.test(id)),
    'nothing in it that a log or a shell would mind',
  );
  t.ok(
    ids.every(id => Buffer.byteLength(id) <= PROXY_UNIQUE_ID_OCTETS),
    'and it fits a PROXY header',
  );
});

t.test('ids of one shard count up', async t => {
  const next = createIds('p');
  t.strictSame([next(), next()], ['p-1', 'p-2']);
  for (let at = 2; at < 36; at++) next();
  t.equal(next(), 'p-11', 'in base 36');
});
