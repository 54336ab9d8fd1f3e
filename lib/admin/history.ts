import type { MonotonicMs } from '../core/clock.ts';
import { REFUSALS } from './causes.ts';
import type { BackendStatus, ListenerStatus, StatusDocument } from './status.ts';

/** Milliseconds between two samples, and how many are kept: the last ten minutes. */
const PERIOD_MS = 2_000;
const SAMPLES = 300;
/** Every so many samples the counters of each listener and backend are kept as well, for the last five minutes. */
const SAMPLES_A_MARK = 15;
const MARKS = 11;

/** Totals of the whole instance; counters but for `active` and `queued`. */
export interface Sample {
  /** Milliseconds before the document was made; a step of the wall clock does not touch it. */
  readonly ageMs: number;
  readonly accepted: number;
  readonly active: number;
  readonly queued: number;
  /** Both directions. */
  readonly bytes: number;
  /** Tries that backends failed. */
  readonly failed: number;
  /** Sessions refused, by rule or for want of room. */
  readonly refused: number;
}

/** The counters that are shown "in the last minutes" one by one. */
export interface Mark {
  readonly ageMs: number;
  readonly listeners: readonly Pick<ListenerStatus, 'name' | 'ended'>[];
  readonly backends: readonly (Pick<BackendStatus, 'name' | 'failures'> & { readonly pool: string })[];
}

/** The body of `GET /api/v1/history`: what a page that was just opened has to know of the last minutes. Oldest first. */
export interface HistoryDocument {
  readonly samples: readonly Sample[];
  readonly marks: readonly Mark[];
}

/**
 * Samples the status document. Bounded: 300 samples of seven numbers (about 30 kB) and eleven marks of about 100
 * octets a backend and 300 a listener (10 kB for five backends, 2.5 MB for the 2,048 there can be).
 */
export interface History {
  read(): HistoryDocument;
  close(): void;
}

export function startHistory(status: () => StatusDocument, now: MonotonicMs): History {
  const samples: (Omit<Sample, 'ageMs'> & { atMs: number })[] = [];
  const marks: (Omit<Mark, 'ageMs'> & { atMs: number })[] = [];
  let untilMark = 0;

  const take = (): void => {
    const document = status();
    const atMs = now();
    samples.push({ atMs, ...totals(document) });
    if (samples.length > SAMPLES) samples.shift();
    if (untilMark-- > 0) return;
    untilMark = SAMPLES_A_MARK - 1;
    marks.push({
      atMs,
      listeners: document.listeners.map(({ name, ended }) => ({ name, ended })),
      backends: document.pools.flatMap(pool =>
        pool.backends.map(({ name, failures }) => ({ pool: pool.name, name, failures })),
      ),
    });
    if (marks.length > MARKS) marks.shift();
  };
  take();
  const timer = setInterval(take, PERIOD_MS);

  return {
    read() {
      const readAtMs = now();
      const aged = <T extends { atMs: number }>({ atMs, ...rest }: T) => ({
        ageMs: Math.round(readAtMs - atMs),
        ...rest,
      });
      return { samples: samples.map(aged), marks: marks.map(aged) };
    },
    close: () => clearInterval(timer),
  };
}

function totals({ listeners, pools }: StatusDocument): Omit<Sample, 'ageMs'> {
  return {
    accepted: sum(listeners, listener => listener.accepted),
    active: sum(listeners, listener => listener.active),
    queued: sum(pools, pool => pool.queued),
    bytes: sum(listeners, listener => listener.bytesFromClients + listener.bytesFromBackends),
    failed: sum(pools, pool => sum(pool.backends, backend => backend.failures)),
    refused: sum(listeners, ({ ended }) => sum(REFUSALS, cause => ended[cause] ?? 0)),
  };
}

function sum<T>(things: readonly T[], count: (thing: T) => number): number {
  return things.reduce((all, thing) => all + count(thing), 0);
}
