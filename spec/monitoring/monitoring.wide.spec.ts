/** The alert rules and the dashboard of examples/, held against a real scrape and in a real Prometheus. */
import { dirname, join } from 'node:path';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { eventually } from '../support/eventually.ts';
import { refusingAddress } from '../support/free-port.ts';
import { type Instance, startInstance } from '../support/instance.ts';
import { headingAnchors, page, tableUnder } from '../support/markdown.ts';
import type { Metrics } from '../support/metrics.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { run } from '../support/processes.ts';
import { startRedis } from '../support/redis.ts';
import { type ScriptedBackend, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import {
  ALERTS,
  alertRules,
  annotationExpressions,
  asked,
  dashboard,
  panelExpressions,
  variableExpressions,
} from './expressions.ts';
import { startPrometheus } from './prometheus.ts';

/** Needs a backend with a certificate; its labels are those that the page on metrics names. */
const CERTIFICATE = 'smtplb_backend_certificate_days_left';
/** Prometheus adds these itself. */
const ADDED = new Set(['job', 'instance']);
const OWN = new Set(['up', 'ALERTS']);

/** An instance that has seen a little of everything: mail, a retry, a wait, a client it refused. */
async function seasoned(owner: Owner): Promise<{ instance: Instance; backend: ScriptedBackend }> {
  const backend = await startScriptedBackend(owner, smtp({ capabilities: ['PIPELINING', 'STARTTLS'] }));
  const dead = await refusingAddress();
  const { port } = await startRedis(owner);
  const instance = await startInstance(owner, 'net', {
    cluster: { redis: `redis://127.0.0.1:${port}` },
    listeners: [{ name: 'mx', pool: 'mx', clients: { deny: ['127.0.0.2'] } }],
    pools: [
      {
        name: 'mx',
        balance: 'round-robin',
        passiveHealth: { failures: 1, pause: '10ms', maxPause: '10ms' },
        backends: [
          { name: 'dead', address: formatAddress(dead) },
          { name: 'alive', address: formatAddress(backend.address), maxConnections: 1 },
        ],
        // Both are looked for at the one that lives: sessions still find out about the dead one by themselves.
        check: { type: 'tcp', interval: '100ms', ...placeOf(backend) },
      },
      {
        name: 'unused',
        sticky: { by: 'client-address' },
        backends: [
          {
            name: 'gone',
            address: formatAddress(dead),
            maxConnections: { count: 5, scope: 'cluster' },
          },
        ],
        check: { type: 'tcp', interval: '100ms' },
      },
    ],
  });
  const first = await connectClient(owner, instance.address());
  await first.expect(220);
  const waiting = await connectClient(owner, instance.address());
  await eventually('a session in the queue', async () =>
    (await instance.metrics()).sum('smtplb_queue_length'),
  );
  await first.command('EHLO first.example', 250);
  await first.deliver();
  await first.command('QUIT', 221);
  first.end();
  await waiting.expect(220);
  await waiting.command('EHLO second.example', 250);
  await waiting.command('QUIT', 221);
  waiting.end();
  const denied = await connectClient(owner, instance.address(), { from: '127.0.0.2' });
  await denied.expect(554);
  denied.end();
  await instance.sessions(3);
  await instance.idle();
  await eventually('news of the cluster', async () =>
    (await instance.metrics()).samples.has('smtplb_cluster_lag_seconds'),
  );
  await eventually('a check of each kind', async () => {
    const metrics = await instance.metrics();
    return ['ok', 'refused'].every(outcome => metrics.sum('smtplb_checks_total', { outcome }) > 0);
  });
  return { instance, backend };
}

function placeOf({ address }: ScriptedBackend): { address: string; port: number } {
  return { address: address.host, port: address.port };
}

async function serveOne(owner: Owner, instance: Instance): Promise<void> {
  const client = await connectClient(owner, instance.address());
  await client.expect(220);
  await client.command('QUIT', 221);
  client.end();
}

function documentedLabels(name: string): Set<string> {
  const [, , labels = ''] =
    tableUnder(page('metrics.md'), 'What smtplb counts').find(([cell]) => cell === name) ?? [];
  return new Set(Array.from(labels.matchAll(/\w+/g), ([label]) => label));
}

/** What an expression asks for and a scrape has not. */
function missing(expr: string, scraped: Metrics): string[] {
  const { metrics, groupedBy } = asked(expr);
  const labelsOf = (name: string) =>
    name === CERTIFICATE
      ? documentedLabels(name)
      : new Set(scraped.samples.get(name)?.flatMap(({ labels }) => [...labels.keys()]));
  const isThere = (name: string) =>
    name === CERTIFICATE ? scraped.text.includes(`# TYPE ${name} gauge`) : scraped.samples.has(name);
  const known = [...metrics].filter(([name]) => !OWN.has(name));
  const names = known.filter(([name]) => !isThere(name)).map(([name]) => `metric ${name}`);
  const compared = known.flatMap(([name, labels]) =>
    [...labels]
      .filter(label => !ADDED.has(label) && !labelsOf(name).has(label))
      .map(label => `${name}{${label}}`),
  );
  const all = new Set(known.flatMap(([name]) => [...labelsOf(name)]));
  const grouped = [...groupedBy]
    .filter(label => !ADDED.has(label) && !all.has(label))
    .map(label => `by (${label})`);
  return [...names, ...compared, ...grouped];
}

t.test(
  'every metric and label in rules and dashboard is in a real scrape',
  needs('redis-server'),
  async t => {
    const { instance } = await seasoned(t);
    const scraped = await instance.metrics();
    const expressions = [
      ...alertRules().map(({ alert, expr }) => ({ place: alert, expr })),
      ...panelExpressions(),
      ...variableExpressions(),
      ...annotationExpressions().filter(({ place }) => place !== 'annotation Alerts'),
    ];
    t.ok(expressions.length > 60, `${expressions.length} expressions`);
    for (const { place, expr } of expressions) {
      t.ok(asked(expr).metrics.size > 0, `${place} asks for something`);
      t.same(missing(expr, scraped), [], place);
    }
    t.same(missing('sum by (nobody) (smtplb_nothing{x="1"} + smtplb_queue_length{y="1"})', scraped), [
      'metric smtplb_nothing',
      'smtplb_nothing{x}',
      'smtplb_queue_length{y}',
      'by (nobody)',
    ]);
  },
);

t.test('every alert says what is wrong, and where to read what to do', async t => {
  const anchors = headingAnchors(page('operating.md'));
  for (const { alert, annotations, labels } of alertRules()) {
    t.match(annotations['summary'], /^.{10,100}$/, alert);
    t.match(annotations['description'], /\.$/, alert);
    t.match(labels['severity'], /^(?:critical|warning|info)$/, alert);
    const [file, anchor = ''] = annotations['runbook']?.split('#') ?? [];
    t.equal(file, 'docs/operating.md', alert);
    t.equal(anchor, alert.toLowerCase(), alert);
    t.ok(anchors.has(anchor), `operating.md has a heading for ${alert}`);
  }
});

t.test('the panels of the dashboard have ids of their own, a title, and do not overlap', async t => {
  const { panels } = dashboard();
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Map<string, string>();
  for (const {
    title,
    gridPos: { x, y, w, h },
  } of panels) {
    t.ok(title !== '' && x + w <= 24, title);
    for (let column = x; column < x + w; column++)
      for (let line = y; line < y + h; line++) {
        const cell = `${column},${line}`;
        if (taken.has(cell)) t.fail(`${title} lies over ${taken.get(cell)}`);
        taken.set(cell, title);
      }
  }
});

t.test('the rules are well-formed, and fire when they must', needs('promtool'), async t => {
  const checked = await run(t, 'promtool', ['check', 'rules', ALERTS]);
  t.match(checked, { exitCode: 0, stdout: new RegExp(`${alertRules().length} rules found`) }, checked.stderr);
  const tested = await run(t, 'promtool', ['test', 'rules', join(dirname(ALERTS), 'alerts.test.yaml')]);
  t.equal(tested.exitCode, 0, tested.stdout + tested.stderr);
});

t.test(
  'a real Prometheus answers every query, and raises an alert',
  needs('prometheus', 'redis-server'),
  async t => {
    const { instance, backend } = await seasoned(t);
    const prometheus = await startPrometheus(t, instance.admin, ALERTS);

    // What only shows while it happens happens once more, before the eyes of Prometheus.
    const failures = 'increase(smtplb_backend_failures_total{reason="refused"}[1m]) > 0';
    await eventually('failures between scrapes', async () => {
      await serveOne(t, instance);
      return (await prometheus.query(failures)).length > 0;
    });
    for (const { expr, place } of panelExpressions()) {
      // A scrape that comes too late, on a busy machine, leaves nothing to see until the next.
      const query = async () => (await prometheus.query(expr)).length > 0;
      if (expr.includes(CERTIFICATE)) await query();
      else t.ok(await eventually(`${place}: ${expr}`, query), place);
    }
    for (const { expr, label, place } of variableExpressions()) {
      const found = await eventually(`${place} to have values`, async () => {
        const series = await prometheus.query(expr);
        return series.length > 0 && series;
      });
      t.ok(
        found.every(({ metric }) => metric[label] !== undefined),
        `${place} has values`,
      );
    }
    for (const { expr, place } of annotationExpressions()) await t.resolves(prometheus.query(expr), place);
    for (const { alert, expr } of alertRules()) await t.resolves(prometheus.query(expr), alert);

    // Nobody has been refused for want of a backend yet, so that counter does not exist: its first step must be seen.
    await backend.stop();
    const client = await connectClient(t, instance.address());
    await client.expect(421);
    client.end();
    const raised = await eventually('the alert', async () =>
      (await prometheus.alerts()).find(({ labels }) => labels['alertname'] === 'SmtplbNobodyServes'),
    );
    t.match(
      raised.annotations['summary'],
      /^mx on 127\.0\.0\.1:\d+ finds no backend \((?:no-backend|backend-.+)\)$/,
    );
    for (const { annotations } of await prometheus.alerts())
      for (const text of Object.values(annotations)) t.notMatch(text, /<no value>|<error/);
    t.same(
      (await prometheus.rules()).filter(({ lastError }) => lastError),
      [],
      'no rule fails',
    );
  },
);
