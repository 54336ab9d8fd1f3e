import { once } from 'node:events';
import t from 'tap';
import { forfeit, giveBack, openBoard, take } from '../../lib/core/board.ts';
import { MAX_BACKENDS, MAX_LISTENERS, MAX_POOLS } from '../../lib/core/limits.ts';
import { startThread } from '../support/checkout.ts';
import type { Contest, Outcome } from './board-worker.ts';

const WORKERS = 4;
const ROUNDS = 50_000;

async function contest(contest: Contest): Promise<Outcome[]> {
  const workers = Array.from({ length: WORKERS }, () => startThread('spec/core/board-worker', contest));
  return Promise.all(
    workers.map(async worker => {
      // Both are awaited from the start: it may be gone as soon as it has spoken.
      const [[outcome]] = (await Promise.all([once(worker, 'message'), once(worker, 'exit')])) as [
        [Outcome],
        unknown,
      ];
      return outcome;
    }),
  );
}

t.test('threads that compete for a count never pass its limit, and leave nothing behind', async t => {
  const row = 7;
  for (const [limit, amount] of [
    [1, 1],
    [3, 2],
  ] as const) {
    const board = openBoard();
    const outcomes = await contest({
      memory: board.memory,
      row,
      limit,
      amount,
      rounds: ROUNDS,
      threads: WORKERS,
    });
    const total = (key: keyof Outcome) => outcomes.reduce((sum, outcome) => sum + outcome[key], 0);
    const highest = Math.max(...outcomes.map(outcome => outcome.highest));
    t.comment(
      `limit ${limit}, ${amount} each: ${total('taken')} taken, ${total('refused')} refused, at most ${highest} at once`,
    );
    t.ok(total('refused') > 0, 'the threads did meet');
    t.ok(highest <= limit, 'the limit was never passed');
    t.equal(total('taken'), WORKERS * ROUNDS);
    t.equal(board.backendSlots[row], 0, 'all was given back');
    t.ok(board.backendSlots.every(count => count === 0) && board.backendFailures.every(count => count === 0));
  }
});

t.test('a count ends at its limit, to the last one that fits', async t => {
  const { poolQueued } = openBoard();
  t.ok(take(poolQueued, 0, 3) && take(poolQueued, 0, 3) && take(poolQueued, 0, 3));
  t.notOk(take(poolQueued, 0, 3));
  t.ok(take(poolQueued, 1, 3), 'another row is another count');
  giveBack(poolQueued, 0);
  t.notOk(take(poolQueued, 0, 3, 2), 'two do not fit');
  t.ok(take(poolQueued, 0, 3));
  t.notOk(take(poolQueued, 2, 0), 'a limit of zero lets nothing in');
  t.ok(take(poolQueued, 3, Number.POSITIVE_INFINITY), 'no limit, no end');
});

t.test('what is given back twice is noticed, and changes nothing', async t => {
  const { backendSlots } = openBoard();
  take(backendSlots, 5, 10, 2);
  t.throws(() => giveBack(backendSlots, 5, 3), { message: /twice/ });
  t.equal(backendSlots[5], 2);
  giveBack(backendSlots, 5, 2);
  t.throws(() => giveBack(backendSlots, 5), { message: /twice/ });
  t.equal(backendSlots[5], 0);
});

t.test('columns do not overlap, and another thread’s board is the same one', async t => {
  const board = openBoard();
  const again = openBoard(board.memory);
  const columns = Object.entries(board).filter(([, column]) => ArrayBuffer.isView(column)) as [
    keyof typeof board,
    Int32Array,
  ][];
  for (const [at, [, column]] of columns.entries()) column.fill(at + 1);
  for (const [at, [name, column]] of columns.entries()) {
    t.ok(
      column.every(value => value === at + 1),
      name,
    );
    t.strictSame((again[name] as Int32Array)[0], at + 1, `${name} elsewhere`);
  }
  t.equal(board.listenerSessions.length, MAX_LISTENERS);
  t.equal(board.poolQueued.length, MAX_POOLS);
  t.equal(board.backendSlots.length, MAX_BACKENDS);
});

t.test('what a shard held when it ended is given back, and nothing of what others hold', async t => {
  const board = openBoard();
  const [lost, living] = [openBoard(board.memory), openBoard(board.memory)];
  for (const view of [lost, living]) {
    take(view.backendSlots, 3, 10);
    take(view.listenerSessions, 1, 10);
    take(view.descriptors, 0, 10, 2);
  }
  take(lost.backendSlots, 3, 10);
  take(lost.poolQueued, 2, 10);
  giveBack(lost.listenerSessions, 1);
  forfeit(openBoard(board.memory, lost.holdings));
  t.strictSame(
    [board.backendSlots[3], board.poolQueued[2], board.listenerSessions[1], board.descriptors[0]],
    [1, 0, 1, 2],
  );
  forfeit(lost);
  t.equal(board.backendSlots[3], 1, 'once');
  t.throws(() => giveBack(lost.backendSlots, 3), { message: /twice/ }, 'it has nothing to give back');
  giveBack(living.backendSlots, 3);
  t.equal(board.backendSlots[3], 0);
});
