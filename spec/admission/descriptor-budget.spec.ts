import { closeSync, openSync } from 'node:fs';
import t from 'tap';
import {
  createDescriptorBudget,
  type DescriptorBudget,
  sessionDescriptors,
} from '../../lib/admission/descriptor-budget.ts';
import { openBoard } from '../../lib/core/board.ts';
import { RESERVED_DESCRIPTORS } from '../../lib/core/limits.ts';

t.test('sessions of all shards together stay within the budget, two descriptors each', async t => {
  const board = openBoard();
  const shards = [0, 1].map(() => createDescriptorBudget(openBoard(board.memory), 7));
  const holds = [0, 1, 0, 1].map(at => (shards[at] as DescriptorBudget).enter());
  t.strictSame(
    holds.map(hold => hold !== null),
    [true, true, true, false],
    'the seventh is no use without an eighth',
  );
  holds.pop();
  holds.pop()?.giveBack();
  holds.push((shards[0] as DescriptorBudget).enter());
  t.equal(board.descriptors[0], 6);
  for (const hold of holds) hold?.giveBack();
  t.equal(board.descriptors[0], 0);
});

t.test('half of the reserve is held by those who read their refusal; who came first makes room', async t => {
  const budget = createDescriptorBudget(openBoard(), 0);
  t.notOk(budget.enter());
  const gone: number[] = [];
  const enter = (who: number) => {
    const hold = budget.linger(() => {
      gone.push(who);
      hold.giveBack();
    });
    return hold;
  };
  const holds = Array.from({ length: RESERVED_DESCRIPTORS / 2 }, (_, who) => enter(who));
  t.strictSame(gone, []);
  enter(100);
  enter(101);
  t.strictSame(gone, [0, 1]);
  holds[9]?.giveBack();
  enter(102);
  t.strictSame(gone, [0, 1], 'who left by himself has made room');
  enter(103);
  t.strictSame(gone, [0, 1, 2]);
});

t.test('what is open already is not given out', async t => {
  const before = sessionDescriptors(32, 1);
  if (before === Number.POSITIVE_INFINITY) return void t.pass('this system does not tell');
  t.equal(sessionDescriptors(132, 1), before - 100);
  t.equal(
    sessionDescriptors(32, 3),
    before - 2 * RESERVED_DESCRIPTORS,
    'each shard has a reserve of its own',
  );
  const open = Array.from({ length: 10 }, () => openSync('/dev/null', 'r'));
  const after = sessionDescriptors(32, 1);
  for (const descriptor of open) closeSync(descriptor);
  t.ok(after <= before - 8 && after >= before - 12, `${before} before, ${after} with ten more open`);
});
