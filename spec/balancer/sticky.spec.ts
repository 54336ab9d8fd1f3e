import t from 'tap';
import { roundRobin } from '../../lib/balancer/round-robin.ts';
import { rendezvous } from '../../lib/balancer/source-hash.ts';
import { sticky } from '../../lib/balancer/sticky.ts';
import type { BackendSnapshot } from '../../lib/pool/snapshot.ts';
import { ANYONE, backend, bench, pool } from './pools.ts';

const backends = [0, 1, 2, 3].map(row => backend(row));

t.test('who is remembered comes back to its backend', async t => {
  const { balancer } = bench(pool(backends));
  for (let at = 0; at < 20; at++)
    t.match(balancer.select({ ...ANYONE, stickyKey: 'k', preferred: 'b2' }), { name: 'b2' });
});

t.test('a backend that is down, drained, full, unknown or tried in vain is not clung to', async t => {
  const request = { ...ANYONE, stickyKey: 'k', preferred: 'b2' };
  const rest = backends.filter(({ row }) => row !== 2);
  const heir = rendezvous(rest, 'k').name;
  for (const change of [{ health: 'down' }, { admin: 'drain' }, { maxConnections: 0 }] as const) {
    const { balancer } = bench(pool(backends.map(b => (b.row === 2 ? { ...b, ...change } : b))));
    t.match(balancer.select(request), { name: heir }, JSON.stringify(change));
  }
  t.match(bench(pool(rest)).balancer.select(request), { name: heir }, 'unknown');
  t.match(bench(pool(backends)).balancer.select({ ...request, triedRows: [2] }), { name: heir }, 'tried');
});

t.test('without an answer all instances come to the same backend, and to the same next one', async t => {
  const elsewhere = [...backends].reverse().map(b => ({ ...b, row: b.row + 50 }));
  const [here, there] = [sticky(roundRobin()), sticky(roundRobin())];
  const used = new Set<string>();
  const without = (all: readonly BackendSnapshot[], name: string) => all.filter(b => b.name !== name);
  for (let at = 0; at < 1_000; at++) {
    const request = { ...ANYONE, stickyKey: `2001:db8:${at}::/64` };
    const first = here(backends, request).name;
    used.add(first);
    if (there(elsewhere, request).name !== first) t.fail(request.stickyKey);
    if (here(without(backends, first), request).name !== there(without(elsewhere, first), request).name)
      t.fail(`${request.stickyKey}, the next one`);
  }
  t.equal(used.size, 4);
});

t.test('a session without a key is balanced as the pool says', async t => {
  const { balancer } = bench(pool(backends, { balance: 'round-robin' }));
  const names = backends.map(() => (balancer.select(ANYONE) as BackendSnapshot).name);
  t.strictSame(names, ['b0', 'b1', 'b2', 'b3']);
});
