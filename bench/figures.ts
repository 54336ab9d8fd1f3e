import { differences, ratios, type Summary, summarize } from './stats.ts';
import type { Metric, Samples } from './workloads/workload.ts';

/** What a metric says about a subject over all rounds. */
export interface Figure {
  readonly value: Summary;
  /** To the base's figure, round by round; absent where that was not measured or the metric is not compared. */
  readonly ratio?: Summary;
}

/** Figures by the metric's key. */
export type Figures = ReadonlyMap<string, Figure>;

/** The samples of several visits of one round, put together. */
export function merge(visits: readonly Samples[]): Samples {
  const merged = new Map<string, number[]>();
  for (const [name, samples] of visits.flatMap(visit => Object.entries(visit)))
    merged.set(name, [...(merged.get(name) ?? []), ...samples]);
  return Object.fromEntries(merged);
}

/** The subjects that others are held against. */
export interface References {
  /** The one whose figures a subject's are divided by. */
  base(subject: string): string;
  /** The one whose figures are subtracted; without it nothing is said about what is added. */
  readonly nothing: string | undefined;
}

/** What all rounds of a workload say: `rounds` has, by subject, the samples of each round. */
export function figuresOf(
  metrics: readonly Metric[],
  rounds: ReadonlyMap<string, readonly Samples[]>,
  { base, nothing }: References,
): ReadonlyMap<string, Figures> {
  function values(subject: string, metric: Metric): readonly (number | undefined)[] {
    const whole = reduced(subject, metric);
    if (metric.added !== true) return whole;
    if (nothing === undefined || subject === nothing) return whole.map(() => undefined);
    return differences(whole, reduced(nothing, metric));
  }
  function reduced(subject: string, metric: Metric): readonly (number | undefined)[] {
    return (rounds.get(subject) ?? []).map(samples => metric.reduce(samples[metric.of] ?? []));
  }
  function figure(subject: string, metric: Metric): Figure | undefined {
    const mine = values(subject, metric);
    const value = summarize(mine);
    const ratio = metric.compared ? mostly(ratios(mine, values(base(subject), metric))) : undefined;
    return value && { value, ...(ratio === undefined ? {} : { ratio }) };
  }
  /** The few rounds in which a ratio could be taken are the lucky ones: fewer than most say nothing. */
  function mostly(found: readonly (number | undefined)[]): Summary | undefined {
    return found.filter(ratio => ratio !== undefined).length * 2 > found.length
      ? summarize(found)
      : undefined;
  }
  function figures(subject: string): Figures {
    const found = metrics.map(metric => [metric.key, figure(subject, metric)] as const);
    return new Map(found.flatMap(([key, one]) => (one === undefined ? [] : [[key, one] as const])));
  }
  return new Map([...rounds.keys()].map(subject => [subject, figures(subject)]));
}
