import { CAUSES } from './causes.js';
import { count, duration, plural } from './format.js';

/** What the figures mean, in words: of one backend, and of the whole instance. */

/** Days before a certificate's end from which it is worth a night's thought. */
const CERTIFICATE_DAYS = 14;
const RANK = ['bad', 'warn', 'full', 'maint', 'drain', 'note', 'ok'];

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
  return days < 0 ? 'bad' : days <= CERTIFICATE_DAYS ? 'warn' : null;
}

export function certificateText(days) {
  if (days < 0) return `certificate expired ${plural(-days, 'day')} ago`;
  return days === 0 ? 'certificate expires today' : `certificate ${plural(days, 'day')}`;
}

/** The whole instance in a headline, its level, and what deserves a look: the worst first. */
export function judge(status, series) {
  const { lastReload, listeners, pools, state } = status;
  const notes = [
    ...(lastReload !== null && !lastReload.ok ? [reloadNote(status)] : []),
    ...pools.flatMap(poolNotes),
    ...listeners.flatMap(listener => listenerNotes(listener, series.lately())),
  ].sort((a, b) => RANK.indexOf(a.level) - RANK.indexOf(b.level));
  const dead = pools.filter(pool => !pool.backends.some(serves));
  const sick = pools.flatMap(pool => pool.backends).filter(isSick).length;
  const active = listeners.reduce((all, listener) => all + listener.active, 0);
  const flows = active > 0 || (series.rate('accepted') ?? 0) > 0 ? 'Mail flows' : 'Ready, no mail right now';

  const because = (level, headline) => ({ level, headline, notes });
  if (state === 'stopping') return because('warn', `Stopping: no new sessions, ${count(active)} left`);
  if (dead.length > 0 && dead.length === pools.length)
    return because('bad', 'No mail flows: no backend can serve');
  if (dead.length > 0) return because('bad', `No mail flows to ${dead.map(({ name }) => name).join(', ')}`);
  if (sick > 0)
    return because('warn', `${flows}; ${sick === 1 ? '1 backend is' : `${sick} backends are`} sick`);
  if (pools.some(({ queued }) => queued > 0)) return because('warn', `${flows}, but sessions wait`);
  if (notes.some(({ isRefusal }) => isRefusal)) return because('warn', `${flows}, but sessions are refused`);
  const [worst] = notes;
  if (worst !== undefined && RANK.indexOf(worst.level) <= RANK.indexOf('warn'))
    return because(worst.level, flows);
  return because('ok', flows);
}

function reloadNote({ generation, lastReload, now }) {
  const seconds = (Date.parse(now) - Date.parse(lastReload.at)) / 1000;
  return {
    level: 'bad',
    key: 'reload',
    subject: 'Reload failed',
    text: `${duration(seconds)} ago; generation ${generation} runs on. ${lastReload.message}`,
  };
}

function poolNotes(pool) {
  const { backends, name, queued, queueSize } = pool;
  const notes = [];
  const note = (level, subject, text, backend) =>
    notes.push({ level, subject, text, pool: name, backend, key: `${subject} ${level}` });
  const serving = backends.filter(serves);
  if (serving.length === 0) note('bad', name, 'no backend can serve; clients are refused with 421.');
  else if (serving.every(({ backup }) => backup) && !backends.every(({ backup }) => backup))
    note('warn', name, 'only backups serve.');
  if (queued > 0)
    note(
      'full',
      name,
      `${plural(queued, 'session')} wait${queued === 1 ? 's' : ''} for a backend with room; the queue holds ${count(queueSize)}.`,
    );
  for (const backend of backends) {
    const subject = `${name}/${backend.name}`;
    const health = healthOf(backend);
    const admin = adminOf(backend);
    const found = backend.check !== null && backend.check.outcome !== 'ok' ? ` ${backend.check.detail}` : '';
    if (isSick(backend)) note(health.level, subject, `is ${health.word}. ${health.why}${found}`, backend.name);
    if (admin !== null) note(admin.level, subject, `${admin.word}.`, backend.name);
    const days = backend.check?.certificateDaysLeft ?? null;
    const level = days === null ? null : certificateLevel(days);
    if (level !== null) note(level, subject, `${certificateText(days)}.`, backend.name);
  }
  return notes;
}

function listenerNotes({ active, ended, limit, name }, lately) {
  const notes = [];
  const note = (level, text, more = {}) =>
    notes.push({
      level,
      subject: `listener ${name}`,
      text,
      listener: name,
      key: `${name} ${level} ${text.length}`,
      ...more,
    });
  if (limit !== null && active >= limit)
    note('full', `full: ${count(active)} of ${plural(limit, 'session')}.`);
  const grown = kind =>
    Object.entries(ended)
      .filter(([cause]) => CAUSES.get(cause)?.kind === kind)
      .map(([cause, n]) => [cause, lately.ended(name, cause, n)])
      .filter(([, n]) => n > 0);
  const refused = grown('no-room');
  if (refused.length > 0) {
    const each = refused.map(([cause, n]) => `${count(n)} ${cause}`).join(', ');
    note('warn', `sessions were refused in the last 5 minutes: ${each}.`, {
      isRefusal: true,
      key: `${name} refused`,
    });
  }
  const faults = grown('fault').reduce((all, [, n]) => all + n, 0);
  if (faults > 0)
    note('bad', `${plural(faults, 'session')} ended by a fault of smtplb; see the log.`, {
      key: `${name} fault`,
    });
  return notes;
}
