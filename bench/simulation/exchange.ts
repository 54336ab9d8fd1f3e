import type { Report } from './instance.ts';

/**
 * What the instances have heard of each other. A report is seen by all at the same moment: instances that know the
 * same and no more are the hardest case, for they are the likeliest to all do the same.
 */
export interface Exchange {
  /** The report of one instance arrives. */
  deliver(from: number, report: Report): void;
  /** The lease of one instance has ended. */
  forget(from: number): void;
  /** What all but one have said, summed up; its age is the average. The same object each time. */
  othersOf(one: number): Report;
}

export function createExchange(backends: number): Exchange {
  const known = new Map<number, Report>();
  const sessions = new Int32Array(backends);
  const rates = new Float64Array(backends);
  let atMs = 0;
  const add = (report: Report, sign: 1 | -1): void => {
    for (let row = 0; row < backends; row++) {
      sessions[row] = (sessions[row] as number) + sign * (report.sessions[row] as number);
      rates[row] = (rates[row] as number) + sign * (report.sessionsPerSecond[row] as number);
    }
    atMs += sign * report.atMs;
  };
  const forget = (from: number): void => {
    const old = known.get(from);
    if (old !== undefined) add(old, -1);
    known.delete(from);
  };
  const sum = { sessions: new Int32Array(backends), sessionsPerSecond: new Float64Array(backends), atMs: 0 };
  return {
    deliver(from, report) {
      const old = known.get(from);
      if (old !== undefined && old.atMs > report.atMs) return; // overtaken on the way
      forget(from);
      known.set(from, report);
      add(report, 1);
    },
    forget,
    othersOf(one) {
      const mine = known.get(one);
      for (let row = 0; row < backends; row++) {
        sum.sessions[row] = (sessions[row] as number) - (mine?.sessions[row] ?? 0);
        sum.sessionsPerSecond[row] = (rates[row] as number) - (mine?.sessionsPerSecond[row] ?? 0);
      }
      const count = known.size - (mine === undefined ? 0 : 1);
      sum.atMs = count === 0 ? 0 : (atMs - (mine?.atMs ?? 0)) / count;
      return sum;
    },
  };
}
