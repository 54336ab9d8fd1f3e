/** What several noisy rounds say together. No function here changes its argument. */

/** The middle of what several rounds gave, and how far apart they were. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** One value a round, in the order of the rounds; undefined where a round gave none. */
  readonly rounds: readonly (number | undefined)[];
}

/** The middle value, or the mean of the two middle ones; undefined for no values. */
export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  return upper === undefined || lower === undefined ? undefined : (lower + upper) / 2;
}

/** The arithmetic mean; undefined for no values. */
export function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * The smallest value that at least `share` (0 to 1) of all values do not exceed: the nearest rank, so always a
 * value that was measured and never one between two. Undefined for no values.
 */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = Math.ceil(Math.min(Math.max(share, 0), 1) * sorted.length);
  return sorted[Math.max(rank, 1) - 1];
}

/** Median, smallest and largest of the rounds that gave a value; undefined where none did. */
export function summarize(rounds: readonly (number | undefined)[]): Summary | undefined {
  const values = rounds.filter(value => value !== undefined);
  const middle = median(values);
  if (middle === undefined) return undefined;
  return { median: middle, min: Math.min(...values), max: Math.max(...values), rounds };
}

/**
 * Each round's value divided by the base's value of the same round: what both suffered in that minute cancels
 * out, which it does not when two medians are divided. Undefined for a round in which either is missing or the
 * base is not above zero (a difference may be, within the noise).
 */
export function ratios(
  rounds: readonly (number | undefined)[],
  base: readonly (number | undefined)[],
): readonly (number | undefined)[] {
  return rounds.map((value, round) => {
    const divisor = base[round];
    return value === undefined || divisor === undefined || divisor <= 0 ? undefined : value / divisor;
  });
}

/** Each round's value less the base's value of the same round; undefined where either is missing. */
export function differences(
  rounds: readonly (number | undefined)[],
  base: readonly (number | undefined)[],
): readonly (number | undefined)[] {
  return rounds.map((value, round) => {
    const less = base[round];
    return value === undefined || less === undefined ? undefined : value - less;
  });
}

/**
 * The order in which a round visits its subjects: `passes` 2 goes there and back (A B C C B A), so that a
 * machine that grows slower or faster through the round does the same to all; `passes` 1 goes there in one
 * round and back in the next.
 */
export function visits<T>(subjects: readonly T[], round: number, passes: 1 | 2): readonly T[] {
  const back = subjects.toReversed();
  if (passes === 2) return [...subjects, ...back];
  return round % 2 === 0 ? subjects : back;
}
