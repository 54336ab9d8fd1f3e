import { performance } from 'node:perf_hooks';

/**
 * Milliseconds of the machine's monotonic clock, with fractions. The same scale in every thread of the process,
 * and untouched by steps of the wall clock: the only clock that deadlines and durations may use.
 */
export type MonotonicMs = () => number;

// Imported: the global of that name is a getter. performance.now() is cheap but starts at zero in each thread; hrtime has
// one zero for the machine. The difference of the two is fixed for the life of the thread; where the thread had to wait for
// the processor between the two readings it would come out too small, so that the largest of a few is nearest.
const offsetMs = Math.max(
  ...Array.from({ length: 5 }, () => {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1_000 + nanoseconds / 1e6 - performance.now();
  }),
);

export const monotonicMs: MonotonicMs = () => performance.now() + offsetMs;

/** A duration that is kept: a whole number needs no memory of its own, as one with a fraction does. */
export type Microseconds = number;

export function microseconds(ms: number): Microseconds {
  return Math.round(ms * 1_000);
}
