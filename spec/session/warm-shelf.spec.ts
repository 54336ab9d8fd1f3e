import t from 'tap';
import { createDescriptorBudget } from '../../lib/admission/descriptor-budget.ts';
import { giveBack, take } from '../../lib/core/board.ts';
import { WARM_FAREWELL_MS } from '../../lib/core/limits.ts';
import { TICK_MS, TimerWheel } from '../../lib/core/timer-wheel.ts';
import { createPreparer } from '../../lib/session/preparation-plan.ts';
import { WarmShelf } from '../../lib/session/warm-shelf.ts';
import { backend, bench, pool } from '../balancer/pools.ts';
import { createFakeTransport, type FakeConnection } from './fake-transport.ts';

const SIZE = 4;

t.test('who was let go and is not gone yet is a connection at the backend as well', async t => {
  const mx = backend(0, { maxConnections: SIZE });
  const { balancer, board, stats } = bench(pool([mx], { warm: { size: SIZE, maxAgeMs: 60_000 } }));
  let nowMs = 0;
  const wheel = new TimerWheel(() => nowMs);
  const dialled: FakeConnection[] = [];
  const unwanted: unknown[] = [];
  const note = (what: unknown): void => void unwanted.push(what);
  const shelf = new WarmShelf(mx, {
    balancer,
    board,
    descriptors: createDescriptorBudget(board, 1_000),
    hostName: 'edge.example',
    onError: note,
    preparer: createPreparer(),
    random: () => 0,
    stats,
    transport: createFakeTransport({
      onDial: connection => void dialled.push(connection),
      onError: note,
      complain: note,
    }),
    wheel,
  });
  const there = () => dialled.filter(({ socket }) => !socket.over).length;

  shelf.tend(SIZE);
  const [first] = dialled;
  first?.socket.peerConnects();
  first?.socket.deliver();
  first?.socket.peerSends(Buffer.from('220 mx.example ESMTP\r\n'));
  first?.socket.deliver();
  shelf.tend(SIZE);
  t.equal(there(), SIZE, 'once one has greeted the others are opened; they are slow to greet');

  // Sessions come and go, each time within a tick.
  for (let tick = 0; tick < 10; tick++) {
    nowMs += TICK_MS;
    wheel.advance();
    for (let slot = 0; slot < SIZE; slot++) take(board.backendSlots, mx.row, SIZE);
    shelf.tend(SIZE);
    for (let slot = 0; slot < SIZE; slot++) giveBack(board.backendSlots, mx.row);
    shelf.tend(SIZE);
    t.ok(there() <= SIZE, `${there()} connections at a backend that may have ${SIZE}`);
  }
  nowMs += WARM_FAREWELL_MS;
  wheel.advance();
  t.equal(there(), 0, 'they are gone in time');
  shelf.tend(SIZE);
  t.equal(there(), SIZE, 'and others take their place');
  shelf.clear();
  nowMs += WARM_FAREWELL_MS + TICK_MS;
  wheel.advance();
  await shelf.idle();
  t.strictSame(unwanted, []);
});
