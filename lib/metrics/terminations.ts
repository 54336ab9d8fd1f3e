import { terminationColumn } from '../core/shard-stats.ts';
import { CAUSE_NAMES, PHASE_NAMES } from '../core/termination.ts';
import type { Sample } from './samples.ts';

/** Only what has happened: most of cause × phase never does. */
export function terminations(
  row: number,
  listener: string,
  total: (row: number, column: ReturnType<typeof terminationColumn>) => number,
): Sample[] {
  return CAUSE_NAMES.flatMap(cause =>
    PHASE_NAMES.map(phase => ({
      labels: { listener, cause, phase },
      value: total(row, terminationColumn(cause, phase)),
    })),
  ).filter(
    sample => sample.value > 0 || (sample.labels.cause === 'normal' && sample.labels.phase === 'relaying'),
  );
}
