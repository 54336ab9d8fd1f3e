import t from 'tap';
import { figuresOf as figuresWith, merge, type References } from '../../bench/figures.ts';
import { mean, median } from '../../bench/stats.ts';
import type { Metric, Samples } from '../../bench/workloads/workload.ts';

const toHaproxy: References = { base: () => 'haproxy', nothing: 'direct' };
const figuresOf = (metrics: readonly Metric[], rounds: ReadonlyMap<string, readonly Samples[]>) =>
  figuresWith(metrics, rounds, toHaproxy);

const cpu: Metric = { key: 'cpu', title: 'CPU', unit: 'µs', of: 'cpu', reduce: mean, compared: true };
const rate: Metric = { key: 'rate', title: 'rate', unit: '1/s', of: 'rate', reduce: mean, compared: false };
const added: Metric = { ...cpu, key: 'added', of: 'wait', reduce: median, added: true };

t.test('the visits of a round are put together before anything is made of them', async t => {
  t.strictSame(merge([{ a: [1, 2], b: [5] }, { a: [3] }]), { a: [1, 2, 3], b: [5] });
});

t.test('ratios refer to HAProxy, each round to its own', async t => {
  const rounds = new Map([
    ['smtplb', [{ cpu: [10, 30] }, { cpu: [60] }, { cpu: [60] }]],
    ['haproxy', [{ cpu: [10] }, { cpu: [20] }, { cpu: [40] }]],
  ]);
  const figure = figuresOf([cpu], rounds).get('smtplb')?.get('cpu');
  t.strictSame(figure?.value, { median: 60, min: 20, max: 60, rounds: [20, 60, 60] });
  t.strictSame(figure?.ratio, { median: 2, min: 1.5, max: 3, rounds: [2, 3, 1.5] });
});

t.test('without HAProxy there is no ratio, and where a ratio says nothing there is none', async t => {
  const alone = figuresOf([cpu], new Map([['nginx', [{ cpu: [4] }]]]));
  t.strictSame(alone.get('nginx')?.get('cpu'), { value: { median: 4, min: 4, max: 4, rounds: [4] } });
  const base = figuresOf([rate], new Map([['haproxy', [{ rate: [4] }]]]));
  t.strictSame(Object.keys(base.get('haproxy')?.get('rate') ?? {}), ['value']);
});

t.test('added is what is above the direct way', async t => {
  const rounds = new Map([
    ['direct', [{ wait: [100] }, { wait: [110] }, { wait: [100] }]],
    ['smtplb', [{ wait: [130] }, { wait: [150] }, { wait: [110] }]],
    ['haproxy', [{ wait: [120] }, { wait: [110] }, { wait: [110] }]],
  ]);
  const figures = figuresOf([added], rounds);
  t.equal(figures.get('direct')?.get('added'), undefined);
  t.strictSame(figures.get('smtplb')?.get('added')?.value.rounds, [30, 40, 10]);
  t.strictSame(
    figures.get('smtplb')?.get('added')?.ratio?.rounds,
    [1.5, undefined, 1],
    'HAProxy added nothing once',
  );
});

t.test('there is no ratio where HAProxy added nothing in half of the rounds', async t => {
  const rounds = new Map([
    ['direct', [{ wait: [100] }, { wait: [100] }]],
    ['smtplb', [{ wait: [130] }, { wait: [130] }]],
    ['haproxy', [{ wait: [110] }, { wait: [90] }]],
  ]);
  const figure = figuresOf([added], rounds).get('smtplb')?.get('added');
  t.equal(figure?.value.median, 30);
  t.equal(figure?.ratio, undefined);
});

t.test('a subject without a process has no figure of one', async t => {
  const rounds = new Map([['direct', [{ cpu: [] }, {}]]]);
  t.equal(figuresOf([cpu], rounds).get('direct')?.get('cpu'), undefined);
});

t.test('a subject with a base of its own is held against that', async t => {
  const rounds = new Map([
    ['smtplb-log', [{ cpu: [30] }]],
    ['haproxy', [{ cpu: [10] }]],
    ['haproxy-log', [{ cpu: [20] }]],
  ]);
  const base = (subject: string) => (subject === 'smtplb-log' ? 'haproxy-log' : 'haproxy');
  const figures = figuresWith([cpu], rounds, { base, nothing: undefined });
  t.equal(figures.get('smtplb-log')?.get('cpu')?.ratio?.median, 1.5);
  t.equal(figures.get('haproxy-log')?.get('cpu')?.ratio?.median, 2);
});

t.test('without a direct way nothing is said about what is added', async t => {
  const rounds = new Map([['smtplb', [{ wait: [130] }]]]);
  t.equal(
    figuresWith([added], rounds, { base: () => 'haproxy', nothing: undefined })
      .get('smtplb')
      ?.get('added'),
    undefined,
  );
});
