import { CAUSES } from './causes.js';
import { bar, each, h, put, say, sign } from './dom.js';
import { big, count, octets, rate } from './format.js';
import { isRefusal } from './series.js';

/** Listeners, and how their sessions ended: refusals apart from the rest. */

const LEVELS = {
  served: 'ok',
  client: 'note',
  backend: 'warn',
  'by-rule': 'note',
  'no-room': 'full',
  operator: 'maint',
  fault: 'bad',
};

export function renderListeners(parent, listeners, view) {
  each(
    parent,
    listeners.map(listener => ({ listener, view })),
    ({ listener }) => listener.name,
    createListener,
  );
}

function createListener({ listener: { name } }) {
  const id = `listener.${encodeURIComponent(name)}`;
  const way = h('span', { class: 'quiet' });
  const active = h('span', { class: 'amount' });
  const limit = h('span', { class: 'quiet' });
  const used = bar();
  const accepted = h('span', { class: 'amount' });
  const received = h('span', { class: 'amount' });
  const sent = h('span', { class: 'amount' });
  const starttls = h('span', { class: 'amount' });
  const ended = createEnds('Ended');
  const refused = createEnds('Refused');
  const element = h(
    'article',
    { class: 'listener card', 'aria-labelledby': id },
    h('header', {}, h('h3', { id }, name), way),
    h(
      'dl',
      { class: 'figures' },
      figure('Sessions', active, limit, used.element),
      figure('Accepted/s', accepted),
      figure('From clients', received),
      figure('From backends', sent),
      figure('STARTTLS', starttls),
    ),
    h('div', { class: 'ends' }, ended.element, refused.element),
  );
  return {
    element,
    update({ listener, view: { lately, series } }) {
      const perSecond = of => series.rateOf('listeners', name, of);
      say(way, `${listener.addresses.join(', ')} → ${listener.pool}`);
      say(active, count(listener.active));
      say(limit, listener.limit === null ? '' : ` / ${count(listener.limit)}`);
      used.update(listener.active, listener.limit);
      say(accepted, rate(perSecond('accepted')));
      say(received, bytesPerSecond(perSecond('bytesFromClients')));
      say(sent, bytesPerSecond(perSecond('bytesFromBackends')));
      say(starttls, share(listener.starttlsUsed, listener.accepted));
      const rows = Object.entries(listener.ended)
        .map(([cause, total]) => ({ cause, total, recent: lately.ended(name, cause, total) }))
        .sort((a, b) => b.total - a.total);
      ended.update(rows.filter(({ cause }) => !isRefusal(cause)));
      refused.update(rows.filter(({ cause }) => isRefusal(cause)));
    },
  };
}

function figure(label, ...values) {
  return h('div', {}, h('dt', { class: 'label' }, label), h('dd', {}, ...values));
}

function bytesPerSecond(number) {
  return number === null ? octets(null) : `${octets(number)}/s`;
}

function share(part, whole) {
  if (whole === 0) return '–';
  const percent = (100 * part) / whole;
  return percent > 0 && percent < 1 ? '< 1 %' : `${Math.round(percent)} %`;
}

/** Causes with how often they happened: in the last five minutes, and since the start. */
function createEnds(title) {
  const rows = h('tbody');
  const nothing = h('p', { class: 'quiet' }, 'none since the start');
  const table = h(
    'table',
    {},
    h(
      'thead',
      {},
      h(
        'tr',
        {},
        h('th', { scope: 'col' }, title),
        h('th', { scope: 'col' }, '5 min'),
        h('th', { scope: 'col' }, 'total'),
      ),
    ),
    rows,
  );
  const element = h('div', { class: 'end' }, table, nothing);
  return {
    element,
    update(ends) {
      nothing.hidden = ends.length > 0;
      each(rows, ends, ({ cause }) => cause, createEnd);
    },
  };
}

function createEnd({ cause }) {
  const known = CAUSES.get(cause);
  const mark = sign();
  mark.update(LEVELS[known?.kind] ?? 'note');
  const recent = h('td', { class: 'amount' });
  const total = h('td', { class: 'amount quiet' });
  const element = h(
    'tr',
    { title: known?.text ?? null },
    h('th', { scope: 'row' }, mark.element, cause),
    recent,
    total,
  );
  return {
    element,
    update(end) {
      say(recent, big(end.recent));
      say(total, big(end.total));
      put(recent, 'data-some', end.recent > 0 ? 'yes' : null);
    },
  };
}
