import t from 'tap';
import { type Scenario, scenario } from '../../bench/simulation/scenario.ts';
import { simulate } from '../../bench/simulation/simulate.ts';
import { STRATEGIES } from '../../bench/simulation/strategies.ts';

const SEED = 4;
const small = { load: 400, warmMs: 30_000, durationMs: 60_000, sessionMs: 15_000 };

function spreads(of: Scenario, ...names: string[]) {
  const found = names.map(name => {
    const strategy = STRATEGIES.find(each => each.name === name);
    if (strategy === undefined) throw new Error(name);
    return simulate(of, strategy, SEED);
  });
  const said = found.map(({ mean, p99 }, at) => `${names[at]} ${mean.toFixed(3)} / ${p99.toFixed(3)}`);
  t.comment(`${of.name}: ${said.join(', ')}`);
  return found.map(({ mean }) => mean);
}

t.test('a hundred instances load their backends evenly, though each sees the others late', async t => {
  const [ideal = 0, chosen = 9, plain = 0] = spreads(
    scenario('100 instances, 100 ms late', small),
    'omniscient',
    'chosen',
    'plain',
  );
  t.ok(ideal < 1.005 && chosen < 1.05);
  t.ok(plain > chosen);
  const [late = 9, herd = 0] = spreads(
    scenario('100 instances, 1 s late', { ...small, delayMs: 1_000 }),
    'chosen',
    'plain',
  );
  t.ok(late < 1.05);
  t.ok(herd > 1.2, 'plain least connections herd');
});

t.test('an instance alone is as even as can be', async t => {
  const [ideal = 0, chosen = 9] = spreads(
    scenario('1 instance', { ...small, instances: 1 }),
    'omniscient',
    'chosen',
  );
  t.ok(chosen < ideal + 0.001);
});

t.test('weights hold over many instances with few sessions each', async t => {
  const weights = { ...small, load: 60, instances: 100, weights: [1, 2, 5] };
  const [chosen = 9, own = 0] = spreads(scenario('weights 1:2:5', weights), 'chosen', 'own');
  t.ok(chosen < 1.07);
  t.ok(own > chosen, 'own counts alone do not do it');
});

t.test('the same seed gives the same figures', async t => {
  const world = scenario('replayed', { ...small, instances: 4, lengths: 'heavy-tailed' });
  t.strictSame(spreads(world, 'chosen'), spreads(world, 'chosen'));
});
