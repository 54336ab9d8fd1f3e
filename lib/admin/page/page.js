import { anchor, renderPools } from './backends.js';
import { createCluster } from './cluster.js';
import { chip, each, h, put, say, show, sign } from './dom.js';
import { count, duration, octets, plural, rate } from './format.js';
import { judge, serves } from './judge.js';
import { renderListeners } from './listeners.js';
import { createOperator } from './operator.js';
import { plot } from './plot.js';
import { createSeries } from './series.js';
import { startStream } from './stream.js';

const byId = id => document.getElementById(id);
const series = createSeries();
const operator = createOperator(refresh);
const cluster = createCluster();
let shown = null;

const perSecond = number => `${rate(number)}/s`;
const plots = {
  sessions: plot('Sessions', [{ of: 'accepted', word: 'a second' }], perSecond),
  active: plot(
    'Running',
    [
      { of: 'active', word: 'active', gauge: true },
      { of: 'queued', word: 'waiting', gauge: true, loud: true },
    ],
    count,
  ),
  bytes: plot('Bytes', [{ of: 'bytes', word: 'a second' }], number => `${octets(number)}/s`),
  trouble: plot(
    'Trouble',
    [
      { of: 'failed', word: 'failures/s', loud: true, stepMs: 20_000 },
      { of: 'refused', word: 'refused/s', loud: true, stepMs: 20_000 },
    ],
    perSecond,
  ),
};
for (const { element } of Object.values(plots)) byId('plots').append(element);

const verdictSign = sign();
byId('verdict-sign').append(verdictSign.element);
const live = chip();
byId('live').append(live.element);

/** Shows a status document; the one place where anything is rendered. */
function render(status) {
  // An upgrade may have changed what the page has to know.
  if (shown !== null && shown.version !== status.version) return location.reload();
  shown = status;
  const verdict = judge(status, series);
  const view = { series, operator, lately: series.lately() };
  renderTop(status);
  renderVerdict(status, verdict);
  renderPlots(status);
  renderPools(byId('pools'), status.pools, view);
  cluster.update(status);
  operator.offerCluster(status.cluster !== null);
  renderListeners(byId('listeners'), status.listeners, view);
  show(byId('main'), true);
}

function renderTop(status) {
  const { generation, instance, lastReload, now, shards, startedAt, state, version } = status;
  const since = iso => duration((Date.parse(now) - Date.parse(iso)) / 1000);
  say(byId('instance'), instance);
  const reloaded =
    lastReload === null ? 'never' : `${since(lastReload.at)} ago${lastReload.ok ? '' : ', failed'}`;
  for (const [id, text] of [
    ['version', version],
    ['state', state],
    ['generation', String(generation)],
    ['shards', shardsText(shards)],
    ['uptime', since(startedAt)],
    ['reload', reloaded],
  ]) {
    say(byId(id), text);
  }
  put(byId('state'), 'data-level', state === 'running' ? null : 'warn');
  put(byId('shards'), 'data-level', shards.every(shard => shard.state === 'running') ? null : 'bad');
  put(byId('reload'), 'data-level', lastReload !== null && !lastReload.ok ? 'bad' : null);
}

function shardsText(shards) {
  const kinds = [...new Set(shards.map(shard => shard.transport))];
  const lost = shards.filter(shard => shard.state !== 'running').length;
  const all = kinds.map(kind => `${shards.filter(shard => shard.transport === kind).length} × ${kind}`);
  const restarts = shards.reduce((sum, shard) => sum + shard.restarts, 0);
  const notes = [
    ...(lost === 0 ? [] : [`${lost} not running`]),
    ...(restarts === 0 ? [] : [`restarts: ${restarts}`]),
  ];
  return [...all, ...notes].join(', ');
}

const TITLE_SIGNS = { ok: '✓', warn: '▲', bad: '✖' };

function renderVerdict(status, { headline, level, notes }) {
  put(byId('verdict'), 'data-level', level);
  verdictSign.update(level);
  say(byId('headline'), headline);
  const title = `${TITLE_SIGNS[level]} ${status.instance}: ${headline}`;
  if (document.title !== title) document.title = title;
  const backends = status.pools.flatMap(pool => pool.backends);
  const serving = backends.filter(serves).length;
  say(
    byId('facts'),
    `${rate(series.rate('accepted'))} sessions/s, ${serving} of ${plural(backends.length, 'backend')} serve${serving === 1 ? 's' : ''}`,
  );
  show(byId('notes'), notes.length > 0);
  each(byId('notes'), notes, ({ key }) => key, createNote);
}

function createNote() {
  const mark = sign();
  const subject = h('a', { class: 'subject' });
  const text = h('span');
  const element = h('li', {}, mark.element, h('span', {}, subject, ' ', text));
  return {
    element,
    update(note) {
      mark.update(note.level);
      put(element, 'data-level', note.level);
      say(subject, note.subject);
      const target =
        note.pool !== undefined
          ? anchor(note.pool, note.backend ?? null)
          : note.listener && `listener.${encodeURIComponent(note.listener)}`;
      put(subject, 'href', target ? `#${target}` : null);
      say(text, note.text);
    },
  };
}

function renderPlots({ listeners, pools }) {
  const total = (things, of) => things.reduce((all, thing) => all + of(thing), 0);
  const written = (number, format) => [number, format(number)];
  const now = of => written(series.rate(of), rate);
  plots.sessions.update(series, [now('accepted')]);
  plots.active.update(series, [
    written(
      total(listeners, listener => listener.active),
      count,
    ),
    written(
      total(pools, pool => pool.queued),
      count,
    ),
  ]);
  plots.bytes.update(series, [written(series.rate('bytes'), octets)]);
  plots.trouble.update(series, [now('failed'), now('refused')]);
}

function renderLife(isLive, seconds) {
  live.update(isLive ? 'ok' : 'bad', isLive ? 'live' : seconds === null ? 'connecting' : 'lost');
  put(document.body, 'data-live', isLive ? 'yes' : 'no');
  show(byId('lost'), !isLive && seconds !== null);
  if (!isLive && seconds !== null) say(byId('lost-age'), `last seen ${duration(seconds)} ago`);
}

/** After a verb its effect is fetched at once. */
async function refresh() {
  if (shown === null) return;
  render(shown);
  try {
    const response = await fetch('/api/v1/status', { signal: AbortSignal.timeout(5_000) });
    if (response.ok) render(await response.json());
  } catch {
    // The next event shows it.
  }
}

startStream({
  onHistory: document => series.remember(document),
  onLife: renderLife,
  onStatus(status) {
    series.add(status);
    render(status);
  },
});
