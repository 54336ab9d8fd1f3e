import type { Running, Subject, Surroundings } from '../subjects/subject.ts';

/** Raw figures of one visit to one subject, by the name of what was counted. A name may be left out. */
export type Samples = Readonly<Record<string, readonly number[]>>;

/** One column of the table: what is made of the samples of a round. */
export interface Metric {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  /** Which samples it is made of. */
  readonly of: string;
  /** From all samples of a round; undefined for too few. */
  reduce(samples: readonly number[]): number | undefined;
  /** What the subject adds to having none: less the direct way's figure of the same round. */
  readonly added?: true;
  /** Whether a ratio to the base says anything. */
  readonly compared: boolean;
  /** Whether its ratios are drawn. */
  readonly plotted?: true;
}

/** What one visit is given. */
export interface Visit {
  readonly subject: Subject;
  /** The subject's process of this run; a workload that wants a fresh one starts it itself and stops it. */
  readonly running: Running;
  readonly surroundings: Surroundings;
  /** Units of work in this visit: sessions, messages, probes. */
  readonly count: number;
  /** Sessions at a time. */
  readonly parallel: number;
}

/** One way of using a subject, and what is measured of it. */
export interface Workload {
  /** As given on the command line and printed. */
  readonly name: string;
  /** What happens, in a line. */
  readonly says: string;
  /** Units of work a visit, unless `--sessions` says otherwise. */
  readonly count: number;
  /** Sessions at a time, unless `--parallel` says otherwise. */
  readonly parallel: number;
  /** Visits to a subject in a round: there and back again (2), or there only, back in the next round (1). */
  readonly passes: 1 | 2;
  readonly metrics: readonly Metric[];
  /** One visit. What rejects fails the run. */
  visit(visit: Visit): Promise<Samples>;
}

/** For work that ends before its last traces do: closing handshakes, a log line, an idle heap. */
export function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}
