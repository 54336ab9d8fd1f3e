import { CAUSES } from './causes.js';
import { count, duration, plural } from './format.js';

/** What the figures mean, in words: of one backend, and of the whole instance. */

/** Days before a certificate's end from which it is worth a night's thought. */
const CERTIFICATE_DAYS = 14;
/** Milliseconds without a session after which mail no longer counts as flowing. */
const QUIET_MS = 60_000;
const RANK = ['bad', 'warn', 'full', 'soon', 'maint', 'drain'];

/** Health as checks and sessions have it, apart from what the operator says: a level, a word, and why. */
export function healthOf(backend) {
  const { ejectedForSeconds, failuresInARow, health } = backend;
  if (health === 'down') return { level: 'bad', word: 'down', why: '' };
  if (ejectedForSeconds !== null) {
    const next =
      ejectedForSeconds > 0 ? `tried again in ${duration(ejectedForSeconds)}` : 'the next session tries it';
    return {
      level: 'warn',
      word: 'failing',
      why: `${plural(failuresInARow, 'failure')} in a row: left alone, ${next}.`,
    };
  }
  const why = failuresInARow > 0 ? `${plural(failuresInARow, 'failure')} in a row.` : '';
  if (backend.limit !== null && backend.active >= backend.limit) return { level: 'full', word: 'full', why };
  return { level: 'ok', word: 'up', why };
}

/** The operator's word, where it is not `ready`. */
export function adminOf({ admin, active }) {
  if (admin === 'ready') return null;
  const left = active === 0 ? 'none left' : `${count(active)} left`;
  return admin === 'drain'
    ? { level: 'drain', word: `drain, ${left}` }
    : { level: 'maint', word: `maint, ${left}` };
}

export function isSick(backend) {
  return backend.admin === 'ready' && (backend.health === 'down' || backend.ejectedForSeconds !== null);
}

export function serves(backend) {
  return backend.admin === 'ready' && backend.health === 'up' && backend.ejectedForSeconds === null;
}

export function certificateLevel(days) {
  return days < 0 ? 'bad' : days <= CERTIFICATE_DAYS ? 'soon' : null;
}

export function certificateText(days) {
  if (days < 0) return `certificate expired ${plural(-days, 'day')} ago`;
  return days === 0 ? 'certificate expires today' : `certificate expires in ${plural(days, 'day')}`;
}

/** The whole instance in a headline, its level, and what deserves a look: the worst first. */
export function judge(status, series) {
  const { lastReload, listeners, pools, state } = status;
  const notes = [
    ...(lastReload !== null && !lastReload.ok ? [reloadNote(status)] : []),
    ...(status.cluster === null ? [] : clusterNotes(status.cluster)),
    ...pools.flatMap(poolNotes),
    ...listeners.flatMap(listener => listenerNotes(listener, series.lately())),
  ].sort((a, b) => RANK.indexOf(a.level) - RANK.indexOf(b.level));
  const dead = pools.filter(pool => !pool.backends.some(serves));
  const sick = pools.flatMap(pool => pool.backends).filter(isSick).length;
  const active = listeners.reduce((all, listener) => all + listener.active, 0);
  const flows =
    active > 0 || (series.rate('accepted', QUIET_MS) ?? 0) > 0 ? 'Mail flows' : 'Ready, no mail right now';

  const because = (level, headline) => ({ level, headline, notes });
  if (state === 'stopping') return because('warn', `Stopping: no new sessions, ${count(active)} left`);
  if (dead.length > 0 && dead.length === pools.length)
    return because('bad', 'No mail flows: no backend can serve');
  if (dead.length > 0) return because('bad', `No mail flows to ${dead.map(({ name }) => name).join(', ')}`);
  if (sick > 0)
    return because('warn', `${flows}; ${sick === 1 ? '1 backend is' : `${sick} backends are`} sick`);
  if (pools.some(({ queued }) => queued > 0)) return because('warn', `${flows}, but sessions wait`);
  if (notes.some(({ what }) => what === 'refused'))
    return because('warn', `${flows}, but sessions are refused`);
  const [worst] = notes;
  if (worst !== undefined && RANK.indexOf(worst.level) <= RANK.indexOf('warn'))
    return because(worst.level, flows);
  return because('ok', flows);
}

function reloadNote({ generation, lastReload, now }) {
  const seconds = (Date.parse(now) - Date.parse(lastReload.at)) / 1000;
  return {
    key: 'reload',
    level: 'bad',
    subject: 'The last reload failed',
    text: `${duration(seconds)} ago; generation ${generation} runs on. ${lastReload.message}`,
  };
}

function clusterNotes({ name, redis, warnings }) {
  const note = (key, text) => ({ key: `cluster ${key}`, level: 'warn', subject: `cluster ${name}`, text });
  const notes = warnings.map(warning => note(warning, `${warning}.`));
  if (redis.status === 'unreachable')
    notes.unshift(note('redis', `cannot reach Redis (${redis.reason}): this instance chooses on its own.`));
  return notes;
}

function poolNotes(pool) {
  const { backends, name, queued, queueSize } = pool;
  const notes = [];
  const note = (what, level, text) =>
    notes.push({ key: `pool ${name} ${what}`, level, subject: name, text, pool: name });
  const serving = backends.filter(serves);
  if (serving.length === 0)
    note('dead', 'bad', 'has no backend that can serve: clients are refused with 421.');
  else if (serving.every(({ backup }) => backup) && !backends.every(({ backup }) => backup))
    note('backups', 'warn', 'is served by backups only.');
  if (queued > 0) {
    note(
      'queue',
      'full',
      `has ${plural(queued, 'session')} waiting for a backend with room; its queue holds ${count(queueSize)}.`,
    );
  }
  return [...notes, ...backends.flatMap(backend => backendNotes(name, backend))];
}

function backendNotes(pool, backend) {
  const notes = [];
  const subject = `${pool}/${backend.name}`;
  const note = (what, level, text) =>
    notes.push({ key: `backend ${subject} ${what}`, level, subject, text, pool, backend: backend.name });
  const { check } = backend;
  if (isSick(backend)) {
    const health = healthOf(backend);
    const found = check !== null && check.outcome !== 'ok' ? check.detail : '';
    note('health', health.level, [`is ${health.word}.`, health.why, found].filter(Boolean).join(' '));
  }
  const left = backend.active === 0 ? 'no session left' : `${plural(backend.active, 'session')} left`;
  const whose = backend.adminScope === 'cluster' ? ' in the whole cluster' : '';
  if (backend.admin === 'drain') note('admin', 'drain', `is drained${whose}, ${left}.`);
  if (backend.admin === 'maint') note('admin', 'maint', `is in maintenance${whose}, ${left}.`);
  const days = check?.certificateDaysLeft ?? null;
  if (days !== null && certificateLevel(days) !== null) {
    note('certificate', days < 0 ? 'warn' : 'soon', `${certificateText(days)}.`);
  }
  return notes;
}

function listenerNotes({ active, ended, limit, name }, lately) {
  const notes = [];
  const note = (what, level, text) =>
    notes.push({
      key: `listener ${name} ${what}`,
      what,
      level,
      subject: `listener ${name}`,
      text,
      listener: name,
    });
  if (limit !== null && active >= limit)
    note('limit', 'full', `is full: ${count(active)} of ${plural(limit, 'session')}.`);
  const grown = kind =>
    Object.entries(ended)
      .filter(([cause]) => CAUSES.get(cause)?.kind === kind)
      .map(([cause, n]) => [cause, lately.ended(name, cause, n)])
      .filter(([, n]) => n > 0);
  const refused = grown('no-room');
  if (refused.length > 0) {
    const each = refused.map(([cause, n]) => `${count(n)} ${cause}`).join(', ');
    note('refused', 'warn', `had to refuse sessions in the last 5 minutes: ${each}.`);
  }
  const faults = grown('fault').reduce((all, [, n]) => all + n, 0);
  if (faults > 0)
    note('fault', 'bad', `${plural(faults, 'session')} ended by a fault of smtplb; see the log.`);
  return notes;
}
