import t from 'tap';
import { TimerWheel } from '../../lib/core/timer-wheel.ts';
import type { StickyClaim, StickyMemory } from '../../lib/session/sticky.ts';
import { StickyClient } from '../../lib/session/sticky-client.ts';
import { backend, bench, pool } from '../balancer/pools.ts';

t.test('a backend that serves no more is given up though nobody has answered in time', async t => {
  const [home, next] = [backend(0, { admin: 'drain' }), backend(1)];
  const { balancer, stats } = bench(pool([home, next]));
  let nowMs = 0;
  const wheel = new TimerWheel(() => nowMs);
  const claims: StickyClaim[] = [];
  const memory: StickyMemory = {
    recall(_question, serves) {
      t.notOk(serves(home.name));
      return () => {};
    },
    claim: claim => void claims.push(claim),
  };
  const sticky = {
    by: 'client-address',
    ttlMs: 60_000,
    timeoutMs: 20,
    ipv4Prefix: 24,
    ipv6Prefix: 64,
  } as const;
  const client = new StickyClient({
    key: 'k',
    sticky,
    balancer,
    memory,
    stats,
    wheel,
    guard: call => call(),
  });
  let isAnswered = false;
  client.recall(() => {
    isAnswered = true;
  });
  nowMs = 1_000;
  wheel.advance();
  t.ok(isAnswered);
  t.equal(client.found, 'timeout');
  client.greetedBy(next, []);
  t.match(claims, [{ backend: next.name, insteadOf: home.name }]);
});
