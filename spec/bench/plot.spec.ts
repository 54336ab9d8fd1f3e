import t from 'tap';
import { figuresOf } from '../../bench/figures.ts';
import { asSvg } from '../../bench/plot.ts';
import { asJson, asText, type Report } from '../../bench/report.ts';
import { mean } from '../../bench/stats.ts';
import { baseOf } from '../../bench/suites/suite.ts';
import { usual } from '../../bench/suites/usual.ts';
import type { Metric, Workload } from '../../bench/workloads/workload.ts';

const cpu: Metric = {
  key: 'cpu',
  title: 'CPU <µs>',
  unit: 'µs',
  of: 'cpu',
  reduce: mean,
  compared: true,
  plotted: true,
};
const { plotted: _, ...unplotted } = cpu;
const quiet: Metric = { ...unplotted, key: 'quiet', title: 'not drawn' };
const workload: Workload = {
  name: 'sessions',
  says: 'a session & more',
  count: 1,
  parallel: 1,
  passes: 2,
  metrics: [cpu, quiet],
  visit: async () => ({}),
};
const rounds = new Map([
  ['smtplb-net', [{ cpu: [8] }]],
  ['smtplb-net-log', [{ cpu: [30] }]],
  ['haproxy', [{ cpu: [10] }]],
  ['haproxy-log', [{ cpu: [20] }]],
  ['nginx', [{ cpu: [100] }]],
]);
const references = { base: (name: string) => baseOf(usual, name), nothing: usual.nothing };
const report: Report = {
  suite: usual,
  environment: {
    version: 'v1',
    node: 'v20',
    kernel: 'Linux',
    processor: 'one',
    cores: 2,
    memoryMiB: 1,
    load: 'a load',
    backends: 'two',
    postfix: undefined,
    busyAtRest: 0.01,
  },
  at: '2026-01-02T03:04:05Z',
  rounds: 1,
  subjects: new Map([...rounds.keys()].map(name => [name, `what ${name} is`])),
  missing: new Map([['smtplb-epoll', 'exit status 2\nnot here']]),
  outcomes: [
    { workload, count: 1, parallel: 1, stolen: 0, figures: figuresOf(workload.metrics, rounds, references) },
  ],
};

t.test('a picture has a bar for each ratio, its figure as text, and nothing unescaped', async t => {
  const svg = asSvg(report);
  t.equal(svg.match(/<rect /g)?.length, 5);
  t.match(svg, '>0.80</text>');
  t.match(svg, '>1.50 / haproxy-log</text>', 'the base is named where it is another');
  t.match(svg, '>10.00</text>', 'a bar may be cut short, its figure may not');
  t.match(svg, 'a session &#38; more: CPU &#60;µs&#62;');
  t.notMatch(svg, 'not drawn');
  t.match(svg, 'prefers-color-scheme: dark');
});

t.test('bars are as long as their ratios', async t => {
  const widths = [...asSvg(report).matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(match => Number(match[1]));
  const [ours = 0, ourLog = 0, base = 0, baseLog = 0, longest = 0] = widths;
  t.ok(Math.abs(ours / base - 0.8) < 0.01);
  t.ok(Math.abs(ourLog / base - 1.5) < 0.01);
  t.ok(Math.abs(baseLog / base - 2) < 0.01);
  t.ok(Math.abs(longest / base - 4) < 0.01, 'none is longer than four times the base');
});

t.test('what was left out is in the table and in the JSON, with the reason', async t => {
  t.match(asText(report), /smtplb-epoll +left out: exit status 2; not here/);
  t.match(asText(report), '1.50 (1.50..1.50) / haproxy-log');
  t.match(JSON.parse(asJson(report)), {
    version: 2,
    suite: 'relay',
    missing: { 'smtplb-epoll': /exit status 2/ },
    bases: { 'smtplb-net': 'haproxy', 'smtplb-net-log': 'haproxy-log' },
  });
});
