import { chip, each, h, put, say, show } from './dom.js';
import { count, duration } from './format.js';

/** The instances of the cluster: who is there, and who differs. Asked for while the page is open, every other second. */

const PERIOD_MS = 2_000;
const COLUMNS = ['Instance', 'State', 'Sessions', 'Version', 'Configuration', 'Heartbeat'];
const byId = id => document.getElementById(id);

export function createCluster() {
  let askedAt = Number.NEGATIVE_INFINITY;
  let isAsking = false;
  const redis = chip();
  const rows = h('tbody', { role: 'rowgroup' });
  byId('cluster-redis').append(redis.element);
  byId('cluster').append(
    h(
      'table',
      { role: 'table', 'aria-labelledby': 'cluster-title' },
      h(
        'thead',
        { role: 'rowgroup' },
        h(
          'tr',
          { role: 'row' },
          ...COLUMNS.map(text => h('th', { role: 'columnheader', scope: 'col' }, text)),
        ),
      ),
      rows,
    ),
  );

  async function ask(now) {
    askedAt = performance.now();
    isAsking = true;
    try {
      const response = await fetch('/api/v1/cluster', { signal: AbortSignal.timeout(5_000) });
      if (!response.ok) return;
      const { instances } = await response.json();
      each(
        rows,
        // Two may have one name; that is told, and both are shown.
        instances.map((instance, at) => ({ at, instance, now })),
        ({ at, instance }) => `${at} ${instance.instance}`,
        createInstance,
      );
    } catch {
      // Asked again soon.
    } finally {
      isAsking = false;
    }
  }

  return {
    update({ cluster, now }) {
      show(byId('cluster-section'), cluster !== null);
      if (cluster === null) return;
      say(byId('cluster-name'), cluster.name);
      redis.update(...redisOf(cluster.redis));
      if (!isAsking && performance.now() - askedAt >= PERIOD_MS) ask(Date.parse(now));
    },
  };
}

function redisOf({ reason, roundTripMs, status }) {
  if (status === 'unreachable') return ['bad', `Redis is not reachable: ${reason}`];
  if (status === 'connecting') return ['note', 'connecting to Redis'];
  return ['ok', `Redis answers in ${roundTripMs === null ? '–' : roundTripMs.toFixed(1)} ms`];
}

function createInstance() {
  const cell = (label, ...children) =>
    h('td', { role: 'cell', 'data-label': label, class: label.toLowerCase() }, ...children);
  const name = h('span', { class: 'name' });
  const self = h('span', { class: 'tag' }, 'this one');
  const host = h('span', { class: 'under' });
  const state = chip();
  const since = h('span', { class: 'under' });
  const sessions = h('span', { class: 'amount' });
  const version = h('span');
  const shards = h('span', { class: 'under' });
  const configuration = chip();
  const generation = h('span', { class: 'under' });
  const heartbeat = h('span', { class: 'amount' });
  const element = h(
    'tr',
    { role: 'row' },
    h('th', { role: 'rowheader', scope: 'row' }, name, self, host),
    cell('State', state.element, since),
    cell('Sessions', sessions),
    cell('Version', version, shards),
    cell('Configuration', configuration.element, generation),
    cell('Heartbeat', heartbeat),
  );
  return {
    element,
    update({ instance, now }) {
      const { differences, isSelf, secondsSinceHeartbeat } = instance;
      const isLate = secondsSinceHeartbeat > 3;
      put(element, 'data-level', isLate || differences.length > 0 ? 'warn' : null);
      say(name, instance.instance);
      show(self, isSelf);
      say(host, instance.hostName);
      state.update(instance.state === 'running' ? 'ok' : 'drain', instance.state);
      say(since, `up ${duration((now - Date.parse(instance.startedAt)) / 1000)}`);
      say(sessions, count(instance.sessions));
      say(version, instance.version);
      say(shards, `${count(instance.shards)} × ${instance.transport}`);
      configuration.update(...configurationOf(isSelf, differences));
      say(generation, `generation ${count(instance.generation)}`);
      say(heartbeat, isSelf ? 'now' : `${duration(secondsSinceHeartbeat)} ago`);
      put(heartbeat, 'data-some', isLate ? 'yes' : null);
    },
  };
}

function configurationOf(isSelf, differences) {
  if (isSelf) return ['note', 'this one'];
  return differences.length === 0 ? ['ok', 'as here'] : ['warn', differences.join(', ')];
}
