import t from 'tap';
import { listenerNames, nearest } from '../../lib/config/names.ts';

t.test('listeners without names', async t => {
  t.same(listenerNames([{ pool: 'mx' }, { name: 'b', pool: 'mx' }]), ['mx', 'b'], 'the name of the pool');
  t.same(
    listenerNames([{ pool: 'mx' }, { pool: 'mx' }]),
    ['mx', 'listener-2'],
    'or the place, where that is taken',
  );
  t.same(
    listenerNames([{ pool: 'mx' }, { name: 'mx', pool: 'b' }]),
    ['listener-1', 'mx'],
    'given names come first',
  );
  t.same(listenerNames([{}]), ['listener-1']);
});

t.test('what was meant', async t => {
  const keys = ['listen', 'pool', 'timeouts', 'clients', 'tls'];
  const meant = {
    lisen: 'listen',
    Listen: 'listen',
    lsiten: 'listen',
    timeout: 'timeouts',
    clinets: 'clients',
    tsl: 'tls',
  };
  for (const [given, wanted] of Object.entries(meant)) t.equal(nearest(given, keys), wanted, given);
  t.equal(nearest('warning', ['info', 'warn']), 'warn');
  for (const given of ['zebra', '', 'x'.repeat(65), '__proto__'])
    t.equal(nearest(given, keys), undefined, given);
});
