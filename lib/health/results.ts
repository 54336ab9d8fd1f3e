import { OUTCOME_NAMES, type Outcome } from './outcome.ts';

/** Seconds; upper bounds of the buckets of check durations. A check ends at `check.timeout` at the latest. */
export const CHECK_SECONDS_BOUNDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/** What was counted of one backend's checks since they began; only ever grows. */
export interface CheckCounts {
  readonly pool: string;
  readonly backend: string;
  /** Every outcome, those that never happened too. */
  readonly outcomes: ReadonlyMap<Outcome, number>;
  /** Seconds from dialling to the verdict: observations per bucket (the last is +Inf), and their sum. */
  readonly seconds: { readonly buckets: readonly number[]; readonly sum: number };
}

export interface CheckCounter {
  count(outcome: Outcome, durationMs: number): void;
  read(): Pick<CheckCounts, 'outcomes' | 'seconds'>;
}

export function createCheckCounter(): CheckCounter {
  const outcomes = new Map<Outcome, number>(OUTCOME_NAMES.map(name => [name, 0]));
  const buckets: number[] = Array(CHECK_SECONDS_BOUNDS.length + 1).fill(0);
  let sum = 0;
  return {
    count(outcome, durationMs) {
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      const seconds = durationMs / 1_000;
      const found = CHECK_SECONDS_BOUNDS.findIndex(bound => seconds <= bound);
      const bucket = found < 0 ? CHECK_SECONDS_BOUNDS.length : found;
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
      sum += seconds;
    },
    read: () => ({ outcomes: new Map(outcomes), seconds: { buckets: [...buckets], sum } }),
  };
}
