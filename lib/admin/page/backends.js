import { bar, chip, each, h, put, say, show } from './dom.js';
import { big, count, plural, rate } from './format.js';
import { adminOf, certificateLevel, certificateText, healthOf, serves } from './judge.js';
import { keyOf } from './series.js';

/** Pools and their backends: a table, of which narrow screens make cards. */

const COLUMNS = ['Backend', 'State', 'Sessions', 'Picks/s', 'Failures', 'Last check'];
const VERBS = ['ready', 'drain', 'maint'];

/** The fragment that leads to a pool's backend, or to the pool. */
export function anchor(pool, backend = null) {
  const part = text => encodeURIComponent(text);
  return backend === null ? `pool.${part(pool)}` : `backend.${part(pool)}.${part(backend)}`;
}

/** `view` has the series, what has grown lately, and the operator, whose verbs are there only with a token. */
export function renderPools(parent, pools, view) {
  each(
    parent,
    pools.map(pool => ({ pool, view })),
    ({ pool }) => pool.name,
    createPool,
  );
}

function createPool({ pool: { name } }) {
  const id = anchor(name);
  const facts = h('span', { class: 'quiet' });
  const queue = h('span', { class: 'amount' });
  const queueBar = bar();
  const retries = h('span', { class: 'amount' });
  const verbHead = h('th', { role: 'columnheader', scope: 'col', class: 'verbs' }, 'Tell it');
  const heads = h(
    'tr',
    { role: 'row' },
    ...COLUMNS.map(column => h('th', { role: 'columnheader', scope: 'col' }, column)),
  );
  const rows = h('tbody', { role: 'rowgroup' });
  const element = h(
    'section',
    { class: 'pool card', 'aria-labelledby': id },
    h(
      'header',
      {},
      h('h3', { id }, name),
      facts,
      h(
        'span',
        { class: 'pool-figure queue' },
        h('span', { class: 'label' }, 'Queue'),
        queue,
        queueBar.element,
      ),
      h('span', { class: 'pool-figure' }, h('span', { class: 'label' }, 'Retries'), retries),
    ),
    // Roles are written out because cards take them from a table.
    h('table', { role: 'table', 'aria-labelledby': id }, h('thead', { role: 'rowgroup' }, heads), rows),
  );
  return {
    element,
    update({ pool, view }) {
      const serving = `${count(pool.backends.filter(serves).length)} of ${count(pool.backends.length)} serve`;
      say(facts, [pool.balance, pool.identity, serving].filter(text => text !== 'none').join(' · '));
      put(queue, 'data-some', pool.queued > 0 ? 'yes' : null);
      say(queue, `${count(pool.queued)} / ${count(pool.queueSize)}`);
      queueBar.update(pool.queued, pool.queueSize);
      say(retries, big(pool.retries));
      setPresent(verbHead, heads, view.operator.hasToken);
      each(
        rows,
        pool.backends.map(backend => ({ pool, backend, view })),
        ({ backend }) => backend.name,
        createRow,
      );
    },
  };
}

function createRow({ pool, backend: { name } }) {
  const id = anchor(pool.name, name);
  const cell = (label, ...children) =>
    h(
      'td',
      { role: 'cell', 'data-label': label, class: label.toLowerCase().replace(/[^a-z]/g, '') },
      ...children,
    );
  const backup = h('span', { class: 'tag' }, 'backup');
  const address = h('span', { class: 'address' });
  const weight = h('span', { class: 'weight' });
  const health = chip();
  const admin = chip();
  const scope = h('span', { class: 'under' }, 'whole cluster');
  const active = h('span', { class: 'amount' });
  const limit = h('span', { class: 'quiet' });
  const used = bar();
  const elsewhere = h('span', { class: 'under elsewhere' });
  const warm = h('span', { class: 'under warm' });
  const picks = h('span', { class: 'amount' });
  const recent = h('span', { class: 'amount' });
  const failures = h('span', { class: 'quiet' });
  const why = h('span', { class: 'why' });
  const outcome = h('span', { class: 'outcome' });
  const detail = h('span', { class: 'detail' });
  const facts = h('span', { class: 'quiet facts' });
  const certificate = chip();
  const verbs = createVerbs(pool.name, name);
  const element = h(
    'tr',
    { role: 'row', id, tabindex: -1 },
    h(
      'th',
      { role: 'rowheader', scope: 'row' },
      h('span', { class: 'name' }, name),
      backup,
      h('span', { class: 'under' }, address, weight),
    ),
    cell('State', health.element, admin.element, scope),
    cell('Sessions', h('span', {}, active, limit), used.element, elsewhere, warm),
    cell('Picks/s', picks),
    cell('Failures', recent, failures),
    cell('Last check', why, h('span', {}, outcome, facts), detail, certificate.element),
  );

  return {
    element,
    update({ pool: { name: poolName }, backend, view: { lately, operator, series } }) {
      const state = healthOf(backend);
      const told = adminOf(backend);
      put(element, 'data-level', told?.level ?? state.level);
      show(backup, backend.backup);
      say(address, backend.address);
      const isOther = backend.weight !== backend.configuredWeight;
      put(weight, 'data-other', isOther ? 'yes' : null);
      say(weight, isOther ? `weight ${backend.weight}, configured ${backend.configuredWeight}` : '');
      health.update(state.level, state.word);
      show(admin.element, told !== null);
      show(scope, told !== null && backend.adminScope === 'cluster');
      if (told !== null) admin.update(told.level, told.word);
      say(active, count(backend.active));
      say(limit, backend.limit === null ? '' : ` / ${count(backend.limit)}`);
      used.update(backend.active, backend.limit);
      put(elsewhere, 'title', 'at the other instances of the cluster');
      show(elsewhere, (backend.activeElsewhere ?? 0) > 0);
      say(elsewhere, `+ ${count(backend.activeElsewhere)} elsewhere`);
      show(warm, backend.warm !== null);
      say(warm, `+ ${count(backend.warm ?? 0)} warm`);
      put(warm, 'title', 'connections that have greeted and wait for a session');
      say(picks, rate(series.rateOf('backends', keyOf(poolName, name), 'picks')));
      const grown = lately.failures(poolName, name, backend.failures);
      put(recent, 'data-some', grown > 0 ? 'yes' : null);
      say(recent, big(grown));
      say(failures, ` of ${big(backend.failures)}`);
      put(failures.parentElement, 'title', 'in the last 5 minutes, of those since the start');
      show(failures, backend.failures > 0);
      say(why, state.why);
      show(why, state.why !== '');
      renderCheck(backend.check, state.why);
      setPresent(verbs.element, element, operator.hasToken);
      verbs.update(backend, operator);
    },
  };

  function renderCheck(check, why) {
    show(outcome, check !== null || why === '');
    show(detail, check !== null && check.detail !== '' && check.outcome !== 'ok');
    show(facts, check !== null);
    show(certificate.element, (check?.certificateDaysLeft ?? null) !== null);
    put(
      outcome,
      'data-bad',
      check !== null && check.outcome !== null && check.outcome !== 'ok' ? 'yes' : null,
    );
    if (check === null) return say(outcome, 'not checked');
    say(outcome, check.outcome === null ? `${check.type}: first check is under way` : check.outcome);
    say(detail, check.detail);
    put(outcome, 'title', check.detail === '' ? null : check.detail);
    const repeats =
      check.outcome === 'ok' || check.consecutive < 2
        ? ''
        : `, ${plural(check.consecutive, 'time')} in a row`;
    say(facts, check.outcome === null ? '' : ` · ${check.type}, ${whoAndHowLong(check)}${repeats}`);
    const days = check.certificateDaysLeft;
    if (days !== null) certificate.update(certificateLevel(days) ?? 'note', certificateText(days));
  }
}

/** Where instances share a check, those that make it are named; others' results have no duration here. */
function whoAndHowLong({ checkers, durationMs, isCheckedHere }) {
  const who = checkers === null ? '' : `by ${checkers.join(', ')}`;
  if (!isCheckedHere) return who;
  return `${count(durationMs)} ms${who === '' ? '' : `, ${who}`}`;
}

/** The three verbs; the one that holds is pressed. */
function createVerbs(pool, name) {
  let tell = () => {};
  const buttons = VERBS.map(verb => {
    const button = h('button', { type: 'button', 'aria-label': `${verb} ${pool}/${name}` }, verb);
    button.addEventListener('click', () => tell(verb, button));
    return button;
  });
  const group = h(
    'span',
    { class: 'verb-group', role: 'group', 'aria-label': `Tell ${pool}/${name}` },
    ...buttons,
  );
  const element = h('td', { role: 'cell', class: 'verbs' }, group);
  return {
    element,
    update(backend, operator) {
      tell = (verb, button) => operator.tell(pool, backend, verb, button);
      for (const [at, verb] of VERBS.entries())
        put(buttons[at], 'aria-pressed', String(verb === backend.admin));
    },
  };
}

/** Takes an element into its parent, as the last one, or out of it. */
function setPresent(element, parent, isPresent) {
  if (!isPresent) element.remove();
  else if (element.parentElement !== parent) parent.append(element);
}
