import { CAUSES } from './causes.js';

/** The last minutes, kept in the page: what the server remembered, and every event since. */

const PLOTTED_MS = 600_000;
const RECENT_MS = 10_000;
const LATELY_MS = 300_000;
const MARK_PERIOD_MS = 30_000;

const sum = (things, of) => things.reduce((all, thing) => all + of(thing), 0);

/** Whether a cause is one of those that clients are refused for. */
export function isRefusal(cause) {
  const kind = CAUSES.get(cause)?.kind;
  return kind === 'by-rule' || kind === 'no-room';
}

function totals({ listeners, pools }) {
  return {
    accepted: sum(listeners, listener => listener.accepted),
    active: sum(listeners, listener => listener.active),
    queued: sum(pools, pool => pool.queued),
    bytes: sum(listeners, listener => listener.bytesFromClients + listener.bytesFromBackends),
    failed: sum(pools, pool => sum(pool.backends, backend => backend.failures)),
    refused: sum(listeners, ({ ended }) =>
      sum(Object.entries(ended), ([cause, n]) => (isRefusal(cause) ? n : 0)),
    ),
  };
}

function marked({ listeners, pools }) {
  return {
    listeners: new Map(listeners.map(({ name, ended }) => [name, new Map(Object.entries(ended))])),
    backends: new Map(
      pools.flatMap(pool => pool.backends.map(backend => [keyOf(pool.name, backend.name), backend.failures])),
    ),
  };
}

function byKey({ listeners, pools }) {
  return {
    listeners: new Map(listeners.map(listener => [listener.name, listener])),
    backends: new Map(
      pools.flatMap(pool => pool.backends.map(backend => [keyOf(pool.name, backend.name), backend])),
    ),
  };
}

/** One text for a pool's backend; names have no line feeds. */
export function keyOf(pool, backend) {
  return `${pool}\n${backend}`;
}

/** `now` is a clock that only goes forward, in milliseconds. */
export function createSeries(now = () => performance.now()) {
  let points = [];
  let marks = [];
  let recent = [];
  let startedAt = null;

  return {
    /** Takes what the server remembers in place of what is here. */
    remember({ samples, marks: older }) {
      const read = now();
      // The next event is the first of whatever process answers now.
      startedAt = null;
      recent = [];
      const atOf = ({ ageMs }) => read - ageMs;
      points = samples.map(sample => ({ ...sample, at: atOf(sample) }));
      marks = older.map(mark => ({
        at: atOf(mark),
        listeners: new Map(mark.listeners.map(({ name, ended }) => [name, new Map(Object.entries(ended))])),
        backends: new Map(mark.backends.map(({ pool, name, failures }) => [keyOf(pool, name), failures])),
      }));
    },

    /** Takes an event. Another process counts from zero: what was before says nothing of it. */
    add(status) {
      const at = now();
      if (startedAt !== null && startedAt !== status.startedAt) [points, marks, recent] = [[], [], []];
      startedAt = status.startedAt;
      points.push({ at, ...totals(status) });
      points = points.filter(point => at - point.at <= PLOTTED_MS + RECENT_MS);
      recent.push({ at, ...byKey(status) });
      recent = recent.filter((one, index) => index >= recent.length - 2 || at - one.at <= RECENT_MS + 500);
      if (marks.length === 0 || at - marks.at(-1).at >= MARK_PERIOD_MS) marks.push({ at, ...marked(status) });
      marks = marks.filter(
        (mark, index) => index === marks.length - 1 || at - mark.at <= LATELY_MS + MARK_PERIOD_MS,
      );
    },

    /** The increase a second of a counter of the whole instance over the last seconds, or `windowMs`; null before two are known. */
    rate(of, windowMs = RECENT_MS) {
      const last = points.at(-1);
      const first = last && points.find(point => last.at - point.at <= windowMs + 500);
      if (last === undefined || first === last) return null;
      return Math.max(0, (1000 * (last[of] - first[of])) / (last.at - first.at));
    },

    /** As `rate`, for a counter of one of the `listeners` (key: name) or `backends` (key: `keyOf`). */
    rateOf(kind, key, of) {
      const last = recent.at(-1);
      const first = recent.find(one => one[kind].has(key));
      const [current, then] = [last?.[kind].get(key), first?.[kind].get(key)];
      if (current === undefined || then === undefined || first === last) return null;
      return Math.max(0, (1000 * (current[of] - then[of])) / (last.at - first.at));
    },

    /** How much counters have grown in the last five minutes, or since the start where that is less. */
    lately() {
      const at = points.at(-1)?.at ?? 0;
      const mark = marks.find(one => at - one.at <= LATELY_MS + 1000);
      return {
        ended: (listener, cause, n) => Math.max(0, n - (mark?.listeners.get(listener)?.get(cause) ?? 0)),
        failures: (pool, backend, n) => Math.max(0, n - (mark?.backends.get(keyOf(pool, backend)) ?? 0)),
      };
    },

    /**
     * What a plot shows: `[x, y]`, x from 0 (ten minutes ago) to 1 (now). Counters become rates over each step;
     * of gauges the highest sample of each step is shown.
     */
    curve(of, isGauge = false, stepMs = 5000) {
      const end = points.at(-1)?.at;
      if (end === undefined) return [];
      const from = Math.floor((end - PLOTTED_MS) / stepMs) * stepMs;
      const xOf = at => Math.min(1, Math.max(0, (at - end + PLOTTED_MS) / PLOTTED_MS));
      const curve = [];
      let index = 0;
      let before = points[0];
      for (let until = from + stepMs; until <= end + stepMs; until += stepMs) {
        let last = null;
        let top = 0;
        for (; index < points.length && points[index].at <= until; index++) {
          last = points[index];
          top = Math.max(top, last[of]);
        }
        if (last === null) continue;
        if (isGauge) curve.push([xOf(last.at), top]);
        else if (last.at > before.at) {
          // The last step has only begun: too short a time makes a rate that jumps.
          if (last.at - before.at < stepMs * 0.3) continue;
          curve.push([xOf(last.at), Math.max(0, (1000 * (last[of] - before[of])) / (last.at - before.at))]);
        }
        before = last;
      }
      return curve;
    },
  };
}
