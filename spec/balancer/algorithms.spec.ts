import t from 'tap';
import type { Algorithm } from '../../lib/balancer/candidates.ts';
import { leastConnections } from '../../lib/balancer/least-connections.ts';
import { roundRobin } from '../../lib/balancer/round-robin.ts';
import { sourceHash, unitHash } from '../../lib/balancer/source-hash.ts';
import type { BackendSnapshot } from '../../lib/pool/snapshot.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { ANYONE, backend, unit, view } from './pools.ts';

/** How many of `count` sessions each row gets; nobody leaves, and nothing is counted on the board. */
function shares(algorithm: Algorithm, backends: readonly BackendSnapshot[], count: number): number[] {
  const got = backends.map(() => 0);
  for (let at = 0; at < count; at++) {
    const { row } = algorithm(backends, {
      client: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`,
      triedRows: [],
    });
    got[row] = (got[row] as number) + 1;
  }
  return got;
}

/** Pearson's chi-square of shares against weights, divided by what is expected of chance: about 1. */
function deviation(got: readonly number[], weights: readonly number[]): number {
  const [all, weight] = [got, weights].map(values => values.reduce((a, b) => a + b, 0)) as [number, number];
  const squares = got.map((n, at) => {
    const expected = (all * (weights[at] as number)) / weight;
    return (n - expected) ** 2 / expected;
  });
  return squares.reduce((a, b) => a + b, 0) / (got.length - 1);
}

t.test(
  'least-connections: always one with the fewest sessions for its weight, as a naive model says',
  async t => {
    const seed = seedOfRun();
    const random = randomFrom(seed);
    const faults: string[] = [];
    for (let round = 0; round < 200; round++) {
      const world = view(unit(random));
      const slots = world.board.backendSlots;
      const algorithm = leastConnections(world);
      const backends = Array.from({ length: 1 + random.below(12) }, (_, row) =>
        backend(row, { weight: 1 + random.below(256) }),
      );
      const open: number[] = [];
      for (let step = 0; step < 200; step++) {
        if (random.below(3) === 0 && open.length > 0) {
          const [row = 0] = open.splice(random.below(open.length), 1);
          slots[row] = (slots[row] as number) - 1;
          continue;
        }
        // Whole numbers only: a/b <= c/d is a*d <= c*b.
        const chosen = algorithm(backends, ANYONE);
        const better = backends.find(
          b => (slots[b.row] as number) * chosen.weight < (slots[chosen.row] as number) * b.weight,
        );
        if (better !== undefined) faults.push(`${chosen.name} was chosen, ${better.name} has less`);
        slots[chosen.row] = (slots[chosen.row] as number) + 1;
        open.push(chosen.row);
      }
    }
    t.strictSame(faults.slice(0, 5), [], `seed ${seed}`);
  },
);

t.test('least-connections: ties are broken by chance, in proportion to the weights', async t => {
  const seed = seedOfRun();
  const weights = [1, 2, 3, 10, 256];
  const backends = weights.map((weight, row) => backend(row, { weight }));
  const idle = shares(leastConnections(view(unit(randomFrom(seed)))), backends, 100_000);
  t.comment(`SMTPLB_SEED=${seed}: ${idle}, chi-square/df ${deviation(idle, weights).toFixed(2)}`);
  t.ok(deviation(idle, weights) < 10, 'an idle pool fills as its weights say');

  const even = shares(
    leastConnections(view(unit(randomFrom(seed)))),
    weights.map((_, row) => backend(row)),
    100_000,
  );
  t.ok(
    deviation(
      even,
      weights.map(() => 1),
    ) < 10,
    `equals share equally: ${even}`,
  );
  t.ok(deviation([...even].reverse(), weights) > 1_000, 'and a wrong share would be seen');
});

t.test('least-connections: two equal backends differ by one session at the most', async t => {
  const world = view();
  const algorithm = leastConnections(world);
  const backends = [backend(0), backend(1)];
  const slots = world.board.backendSlots;
  for (let at = 0; at < 1_000; at++) {
    const { row } = algorithm(backends, ANYONE);
    slots[row] = (slots[row] as number) + 1;
    if (Math.abs((slots[0] as number) - (slots[1] as number)) > 1) t.fail(`${slots[0]} and ${slots[1]}`);
  }
  t.equal(slots[0], 500);
});

t.test('round-robin: smooth, so that a heavy backend does not get its turns in a row', async t => {
  const algorithm = roundRobin();
  const backends = [5, 1, 1].map((weight, row) => backend(row, { weight, name: 'abc'[row] as string }));
  const turn = () => Array.from({ length: 7 }, () => algorithm(backends, ANYONE).name).join('');
  t.equal(turn(), 'aabacaa');
  t.equal(turn(), 'aabacaa', 'and again');
});

t.test('round-robin: every turn gives each backend exactly its weight', async t => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  for (let round = 0; round < 100; round++) {
    const backends = Array.from({ length: 1 + random.below(8) }, (_, row) =>
      backend(row, { weight: 1 + random.below(256) }),
    );
    const weights = backends.map(b => b.weight);
    const sum = weights.reduce((a, b) => a + b, 0);
    const got = shares(roundRobin(), backends, 2 * sum);
    if (got.some((n, row) => n !== 2 * (weights[row] as number)))
      t.fail(`seed ${seed}: ${weights} got ${got}`);
  }
  t.pass('a hundred pools');
});

t.test('round-robin: a backend that is away for a while neither loses nor gains by it', async t => {
  const algorithm = roundRobin();
  const [a, b, c] = [backend(0), backend(1), backend(2)] as const;
  shares(algorithm, [a, b, c], 4);
  shares(algorithm, [a, b], 1_000);
  const after = shares(algorithm, [a, b, c], 300);
  t.ok(
    after.every(n => Math.abs(n - 100) <= 2),
    `no rush to the one that returns: ${after}`,
  );
});

t.test('source-hash: two instances agree on every client', async t => {
  const backends = [1, 2, 3, 4].map((weight, row) => backend(row, { weight }));
  // The order in the file and the rows of another instance do not matter, only names and weights do.
  const elsewhere = [...backends].reverse().map(b => ({ ...b, row: b.row + 100 }));
  const [here, there] = [sourceHash(), sourceHash()];
  const differ = Array.from({ length: 10_000 }, (_, at) => `10.0.${at >> 8}.${at & 255}`).filter(
    client =>
      here(backends, { client, triedRows: [] }).name !== there(elsewhere, { client, triedRows: [] }).name,
  );
  t.strictSame(differ, []);
});

t.test('source-hash: shares follow the weights over many clients', async t => {
  for (const weights of [
    [1, 1, 1],
    [1, 2, 3, 4],
    [1, 1, 8],
    [100, 256],
  ]) {
    const backends = weights.map((weight, row) => backend(row, { weight, name: `mx${row + 1}` }));
    const got = shares(sourceHash(), backends, 100_000);
    const sum = weights.reduce((a, b) => a + b, 0);
    const worst = Math.max(
      ...got.map((n, at) => Math.abs(n / 100_000 / ((weights[at] as number) / sum) - 1)),
    );
    t.comment(`${weights.join(':')} got ${got.join(', ')}, at most ${(worst * 100).toFixed(1)} % off`);
    t.ok(worst < 0.05, `${weights}`);
  }
});

t.test('source-hash: a backend that leaves moves its own clients and no others, and evenly', async t => {
  const backends = Array.from({ length: 5 }, (_, row) => backend(row, { name: `mx${row + 1}` }));
  const algorithm = sourceHash();
  const rest = backends.filter(b => b.row !== 2);
  const heirs = new Map<string, number>();
  let moved = 0;
  for (let at = 0; at < 100_000; at++) {
    const request = { client: `2001:db8::${at.toString(16)}`, triedRows: [] };
    const [before, after] = [algorithm(backends, request), algorithm(rest, request)];
    if (before.row === 2) heirs.set(after.name, (heirs.get(after.name) ?? 0) + 1);
    else if (before.row !== after.row) moved++;
  }
  t.equal(moved, 0, 'nobody else moved');
  const counts = [...heirs.values()];
  t.comment(`its clients went to ${[...heirs].map(([name, n]) => `${name}: ${n}`).join(', ')}`);
  t.equal(counts.length, 4);
  t.ok(Math.max(...counts) < 1.1 * Math.min(...counts));
});

t.test('source-hash: the hash is the same on every machine and in every version', async t => {
  // Instances of two versions run beside each other during an update.
  t.equal(unitHash('192.0.2.1|mx1'), 0.8967124476330355);
  for (const text of ['', 'x', '192.0.2.1|mx1', '\u{1f4e7}'])
    t.ok(unitHash(text) > 0 && unitHash(text) < 1, text);
});
