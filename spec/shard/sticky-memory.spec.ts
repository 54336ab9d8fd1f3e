import t from 'tap';
import type { Recalled } from '../../lib/session/sticky.ts';
import { createLocalKeeper, type StickyKeeper } from '../../lib/shard/sticky-keeper.ts';
import { createStickyMemory } from '../../lib/shard/sticky-memory.ts';
import { createKeeperOverMessages } from '../../lib/shard/sticky-messages.ts';

const question = { pool: 'mx', key: '192.0.2.1', timeoutMs: 20 };
const claim = (backend: string, insteadOf: string | null = null) => ({
  pool: 'mx',
  key: question.key,
  backend,
  insteadOf,
  ttlMs: 60_000,
});
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

function world(shards = 2) {
  const clock = { nowMs: 0 };
  const asked: number[] = [];
  let claims = 0;
  const local = createLocalKeeper(() => clock.nowMs);
  const keeper: StickyKeeper = {
    recall(questions, timeoutMs) {
      asked.push(questions.length);
      return local.recall(questions, timeoutMs);
    },
    claim(told) {
      claims += told.length;
      return local.claim(told);
    },
  };
  const memories = Array.from({ length: shards }, () => createStickyMemory(keeper, () => clock.nowMs));
  const [one, two] = memories as [(typeof memories)[number], (typeof memories)[number]];
  const recall = (memory = one, serves: (backend: string) => boolean = () => true) =>
    new Promise<Recalled>(resolve => memory.recall(question, serves, resolve));
  return {
    clock,
    asked,
    one,
    two,
    recall,
    get claims() {
      return claims;
    },
  };
}

t.test('shards remember together, and each of them at once what it knows', async t => {
  const { one, two, recall, asked } = world();
  t.match(await recall(), { backend: null });
  one.claim(claim('b1'), () => t.fail('nobody was there before'));
  t.match(await recall(), { backend: 'b1', found: 'cache' }, 'here, before anybody is told');
  t.same(asked, [1]);
  one.flush();
  await turn();
  t.match(await recall(two), { backend: 'b1', found: 'cache' });
  t.same(asked, [1, 1]);
});

t.test('the first writer wins, and the loser learns', async t => {
  const { one, two, recall } = world();
  let lost = 0;
  one.claim(claim('b1'), () => lost++);
  two.claim(claim('b2'), () => lost++);
  one.flush();
  two.flush();
  await turn();
  t.equal(lost, 1);
  t.match(await recall(two), { backend: 'b1' });
});

t.test('a backend that is gone before anybody was told of it gives way all the same', async t => {
  const { one, two, recall } = world();
  one.claim(claim('b1'), () => t.fail('nobody was there before'));
  t.match(await recall(one, name => name !== 'b1'), { gone: 'b1' });
  one.claim(claim('b2', 'b1'), () => t.fail('b1 is gone'));
  one.flush();
  await turn();
  t.match(await recall(), { backend: 'b2' }, 'here');
  t.match(await recall(two), { backend: 'b2' }, 'and elsewhere');
});

t.test('a backend that is gone is forgotten and gives way', async t => {
  const { one, two, recall } = world();
  one.claim(claim('b1'), () => {});
  one.flush();
  await turn();
  const asked = await recall(one, name => name !== 'b1');
  t.match(asked, { backend: 'b1', gone: 'b1' }, 'it says who must go');
  one.claim(claim('b2', 'b1'), () => t.fail('b1 is gone'));
  one.flush();
  await turn();
  t.match(await recall(two), { backend: 'b2' });
});

t.test('busy clients are told of now and then, and forgotten after their time', async t => {
  const w = world();
  for (let count = 0; count < 100; count++) {
    w.clock.nowMs += 1_000;
    w.one.claim(claim('b1'), () => {});
    w.one.flush();
    await turn();
  }
  t.equal(w.claims, 10, 'a hundred sessions in a hundred seconds');
  w.clock.nowMs += 59_000;
  t.match(await w.recall(w.two), { backend: 'b1' });
  w.clock.nowMs += 12_000;
  t.match(await w.recall(w.one), { backend: null });
});

t.test('questions asked while others are on their way go together; who is gone is not asked for', async t => {
  const asked: number[] = [];
  const answers: (() => void)[] = [];
  const memory = createStickyMemory(
    {
      recall(questions) {
        asked.push(questions.length);
        return new Promise(resolve => {
          answers.push(() => resolve({ backends: questions.map(({ key }) => `for ${key}`), found: 'redis' }));
        });
      },
      claim: async () => null,
    },
    () => 0,
  );
  const found: string[] = [];
  const callOffs = Array.from({ length: 104 }, (_, at) =>
    memory.recall(
      { ...question, key: `k${at}` },
      () => true,
      ({ backend }) => void found.push(`${backend}`),
    ),
  );
  for (const callOff of callOffs.slice(54)) callOff();
  t.same(asked, [1, 1, 1, 1]);
  answers[0]?.();
  await turn();
  t.same(asked, [1, 1, 1, 1, 50]);
  for (const answer of answers) answer();
  await turn();
  t.equal(found.length, 54);
  t.equal(found.at(-1), 'for k53');
});

t.test('a keeper in another thread answers whom it was asked by', async t => {
  const told: { id: number; type: string }[] = [];
  const { keeper, onMessage } = createKeeperOverMessages(message => told.push(message));
  const [first, second] = [keeper.recall([question], 20), keeper.recall([question], 20)];
  const claimed = keeper.claim([claim('b1')]);
  t.match(told, [{ type: 'recall' }, { type: 'recall' }, { type: 'claim' }]);
  const [a, b, c] = told.map(({ id }) => id) as [number, number, number];
  onMessage({ type: 'claimed', id: c, backends: null });
  onMessage({ type: 'recalled', id: b, recall: { backends: ['b2'], found: 'redis' } });
  onMessage({ type: 'recalled', id: a, recall: { backends: ['b1'], found: 'redis' } });
  onMessage({ type: 'recalled', id: a, recall: { backends: ['b9'], found: 'redis' } });
  t.match(await first, { backends: ['b1'] });
  t.match(await second, { backends: ['b2'] });
  t.equal(await claimed, null);
});
