import t from 'tap';
import type { Waiter } from '../../lib/balancer/balancer.ts';
import { openBoard } from '../../lib/core/board.ts';
import type { BackendSnapshot } from '../../lib/pool/snapshot.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { ANYONE, type Bench, backend, bench, pool, unit } from './pools.ts';

/** Somebody in the queue, and what was offered. */
interface Waiting extends Waiter {
  readonly offers: (BackendSnapshot | 'none')[];
}

function waiting(changes: Partial<Waiter> = {}): Waiting {
  const offers: (BackendSnapshot | 'none')[] = [];
  return { ...ANYONE, offers, onOffer: outcome => void offers.push(outcome), ...changes };
}

function picked({ balancer }: Bench, request = ANYONE): BackendSnapshot {
  const outcome = balancer.select(request);
  if (typeof outcome === 'string') throw new Error(`nobody serves: ${outcome}`);
  return outcome;
}

const slotsOf = ({ board }: Bench) => board.backendSlots.reduce((sum, count) => sum + count, 0);

t.test('whatever sessions do, slots taken are sessions being served, and no bound is passed', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  let waited = 0;
  for (let round = 0; round < 60; round++) {
    const backends = Array.from({ length: 1 + random.below(5) }, (_, row) =>
      backend(row, {
        weight: 1 + random.below(256),
        maxConnections: random.pick([1, 3, 10, Number.POSITIVE_INFINITY]),
        backup: random.below(4) === 0,
      }),
    );
    const balance = random.pick(['least-connections', 'round-robin', 'source-hash'] as const);
    const snapshot = pool(backends, { balance, queue: { size: 1 + random.below(8), timeoutMs: 1_000 } });
    // Two shards of one instance share the board.
    const board = openBoard();
    const shards = [0, 1].map(() => bench(snapshot, { board, random: unit(random) }));
    const served: { shard: Bench; backend: BackendSnapshot; pickedAtMs: number }[] = [];
    const queue = new Set<Waiter>();
    const serve = (shard: Bench, outcome: BackendSnapshot | 'none') => {
      if (outcome !== 'none') served.push({ shard, backend: outcome, pickedAtMs: shard.clock.nowMs });
    };
    for (let step = 0; step < 300; step++) {
      const shard = random.pick(shards);
      const { balancer } = shard;
      const kind = random.below(8);
      if (kind < 4) {
        const client = `10.0.0.${random.below(50)}`;
        const outcome = balancer.select({ client, triedRows: [] });
        if (outcome !== 'full') serve(shard, outcome);
        else {
          const waiter = waiting({
            client,
            onOffer: offer => {
              queue.delete(waiter);
              serve(shard, offer);
            },
          });
          if (balancer.wait(waiter)) {
            queue.add(waiter);
            waited++;
          }
        }
      } else if (kind < 7 && served.length > 0) {
        const [session] = served.splice(random.below(served.length), 1);
        if (session === undefined) continue;
        if (random.below(4) === 0)
          session.shard.balancer.failed(session.backend, 'refused', session.pickedAtMs);
        else session.shard.balancer.succeeded(session.backend);
        session.shard.balancer.release(session.backend);
      } else if (queue.size > 0) {
        const [first] = queue;
        if (first === undefined) continue;
        queue.delete(first);
        for (const { balancer: each } of shards) each.leave(first);
      }
      for (const each of shards) each.clock.nowMs += random.below(300);
      if (random.below(10) === 0) balancer.serveQueue();

      const over = backends.find(b => (board.backendSlots[b.row] as number) > b.maxConnections);
      const slots = slotsOf(shard);
      if (slots !== served.length || over !== undefined || board.poolQueued[0] !== queue.size) {
        t.fail(
          `seed ${seed}, round ${round}: ${slots} slots for ${served.length} sessions, ` +
            `${board.poolQueued[0]} queued and not ${queue.size}, ${over?.name} over its bound`,
        );
        return;
      }
      if (queue.size > snapshot.queue.size) return void t.fail(`seed ${seed}: ${queue.size} in the queue`);
    }
    for (const waiter of queue) for (const { balancer } of shards) balancer.leave(waiter);
    for (const { shard, backend: mine } of served) shard.balancer.release(mine);
    if (slotsOf(shards[0] as Bench) !== 0 || board.poolQueued[0] !== 0)
      t.fail(`seed ${seed}: something is left`);
  }
  t.comment(`SMTPLB_SEED=${seed}, ${waited} sessions waited`);
  t.ok(waited > 100);
});

t.test('maxConnections: the last slot is given once, and then the pool is full', async t => {
  const world = bench(pool([backend(0, { maxConnections: 2 }), backend(1, { maxConnections: 1 })]));
  const rows = [picked(world), picked(world), picked(world)].map(b => b.row).sort();
  t.strictSame(rows, [0, 0, 1]);
  t.equal(world.balancer.select(ANYONE), 'full');
});

t.test('who is not up, not ready, or was tried already is not chosen', async t => {
  const none = (backends: readonly BackendSnapshot[], triedRows: readonly number[] = []) =>
    bench(pool(backends)).balancer.select({ client: 'x', triedRows });
  t.equal(none([backend(0, { health: 'down' })]), 'none');
  t.equal(none([backend(0, { admin: 'drain' })]), 'none');
  t.equal(none([backend(0, { admin: 'maint' })]), 'none');
  t.equal(none([backend(0)], [0]), 'none');
  t.equal(none([]), 'none');
  t.match(none([backend(0), backend(1)], [0]), { name: 'b1' });
  t.equal(
    none([backend(0, { maxConnections: 0 }), backend(1, { health: 'down' })]),
    'full',
    'one would serve',
  );
});

t.test('a backup serves only while no primary can', async t => {
  const world = bench(pool([backend(0, { maxConnections: 1 }), backend(1, { backup: true })]));
  const first = picked(world);
  t.equal(first.row, 0);
  const second = picked(world);
  t.equal(second.row, 1, 'the primary is full');
  world.balancer.release(first);
  t.equal(picked(world).row, 0, 'the primary again');
  const down = bench(pool([backend(0, { health: 'down' }), backend(1, { backup: true })]));
  t.equal(picked(down).row, 1);
  for (let at = 0; at < 100; at++)
    t.equal(picked(bench(pool([backend(0), backend(1, { backup: true, weight: 256 })]))).row, 0);
});

t.test('the queue: first come, first served, nobody overtakes, and it is bounded', async t => {
  const world = bench(pool([backend(0, { maxConnections: 1 })], { queue: { size: 3, timeoutMs: 1 } }));
  const { balancer, board } = world;
  const session = picked(world);
  const line = [waiting(), waiting(), waiting()] as const;
  for (const waiter of line) t.ok(balancer.wait(waiter));
  t.notOk(balancer.wait(waiting()), 'the fourth does not fit');
  t.equal(balancer.waiting, 3);
  t.equal(board.poolQueued[0], 3);

  balancer.release(session);
  t.strictSame(
    line.map(waiter => waiter.offers.length),
    [1, 0, 0],
  );
  t.equal(balancer.select(ANYONE), 'full', 'who comes now is behind those who wait');
  balancer.leave(line[1]);
  balancer.leave(line[1]);
  t.equal(board.poolQueued[0], 2 - 1, 'who leaves twice is counted once');
  balancer.release(line[0].offers[0] as BackendSnapshot);
  t.strictSame(
    line.map(waiter => waiter.offers.length),
    [1, 0, 1],
    'who left is passed over',
  );
  t.equal(balancer.waiting, 0);
  t.equal(board.poolQueued[0], 0);
});

t.test('nobody overtakes, even where a slot is free that nobody was told of', async t => {
  const world = bench(pool([backend(0, { maxConnections: 1 })]));
  const { balancer, board } = world;
  picked(world);
  const first = waiting();
  balancer.wait(first);
  board.backendSlots[0] = 0; // another shard gave it back
  t.equal(balancer.select(ANYONE), 'full');
  balancer.serveQueue();
  t.equal(first.offers.length, 1);
});

t.test('who waits because it has tried in vain what is free does not hold up the others', async t => {
  const world = bench(pool([backend(0), backend(1, { maxConnections: 1 })], { balance: 'round-robin' }));
  const { balancer } = world;
  const held = [picked(world), picked(world)].find(({ row }) => row === 1) as BackendSnapshot;
  const retrying = waiting({ triedRows: [0] });
  balancer.wait(retrying);
  t.equal(picked(world).row, 0, 'a newcomer is served');
  const behind = waiting();
  balancer.wait(behind);
  balancer.serveQueue();
  t.match(behind.offers, [{ name: 'b0' }], 'and so is one behind it');
  t.equal(retrying.offers.length, 0);
  balancer.release(held);
  t.match(retrying.offers, [{ name: 'b1' }], 'what it waits for comes to it first');
  t.equal(picked(world).row, 0, 'and then nobody waits');
});

t.test('the offer never comes within the call that joins the queue', async t => {
  const world = bench(pool([backend(0, { maxConnections: 1 })]));
  const early = waiting();
  world.balancer.wait(early);
  t.equal(early.offers.length, 0);
  world.balancer.serveQueue();
  t.equal(early.offers.length, 1);
});

t.test('a new snapshot is looked at by those who wait', async t => {
  const full = [backend(0, { maxConnections: 1 })];
  const world = bench(pool(full));
  const held = picked(world);
  const [first, second] = [waiting(), waiting()];
  world.balancer.wait(first);
  world.balancer.wait(second);
  world.balancer.update(pool([...full, backend(1, { maxConnections: 1 })]));
  t.match(first.offers, [{ name: 'b1' }], 'a backend was added');
  t.equal(second.offers.length, 0);
  world.balancer.update(pool([backend(0, { admin: 'maint' })]));
  t.strictSame(second.offers, ['none'], 'nobody serves any more: no use in waiting');
  world.balancer.release(held);
  t.equal(world.board.backendSlots[0], 0, 'a slot taken under the old snapshot is given back under the new');
});

t.test('a waiter may release, leave or join while it is served', async t => {
  const world = bench(pool([backend(0, { maxConnections: 1 })]));
  const { balancer } = world;
  const order: string[] = [];
  const session = picked(world);
  const last = waiting({ onOffer: () => void order.push('last') });
  const quick = (name: string) =>
    waiting({
      onOffer: offer => {
        order.push(name);
        if (offer !== 'none') balancer.release(offer); // it fails at once, and the next is served within
      },
    });
  for (const waiter of [quick('first'), quick('second'), last]) balancer.wait(waiter);
  balancer.release(session);
  t.strictSame(order, ['first', 'second', 'last']);
  t.equal(world.board.backendSlots[0], 1);
});

t.test('picks are counted', async t => {
  const world = bench(pool([backend(0), backend(1, { health: 'down' })]));
  for (let at = 0; at < 5; at++) picked(world);
  t.equal(world.stats.backends.get(0, 'picks'), 5);
  t.equal(world.stats.backends.get(1, 'picks'), 0);
});
