/** Waiting, always with a deadline and never longer than needed. */

/**
 * Milliseconds a test waits for something that should happen at once: enough for two cores that ten others want as well.
 * Nothing is measured with it, and who passes never waits for it.
 */
export const PATIENCE_MS = 30_000;

/** What a probe throws or returns while it is too early; the last one is what the failure tells. */
type Probe<T> = () => T | Promise<T>;

/**
 * Polls until `probe` returns something other than undefined, null or false, and returns that. A probe that
 * throws is tried again. Rejects at the deadline with `what` and the last error. For what sends no event
 * (a scraped metric, another process's log); where there is an event, await it.
 */
export async function eventually<T>(
  what: string,
  probe: Probe<T | undefined | null | false>,
  deadlineMs = PATIENCE_MS,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  let pauseMs = 1;
  let last: unknown = 'never true';
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== null && value !== false) return value;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`waited ${deadlineMs} ms for ${what}: ${last instanceof Error ? last.message : last}`);
    }
    await new Promise(resolve => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(pauseMs * 2, 50);
  }
}

/** Polls until `read()` gives `expected` (===); the failure tells the value it had instead. */
export async function eventuallyEqual<T>(
  what: string,
  read: Probe<T>,
  expected: T,
  deadlineMs = PATIENCE_MS,
) {
  await eventually(
    what,
    async () => {
      const value = await read();
      if (value !== expected) throw new Error(`${value} is not ${expected}`);
      return true;
    },
    deadlineMs,
  );
}

/** The promise's value, or a rejection with `what` after the deadline. `detail` adds what is known by then. */
export async function within<T>(
  what: string,
  promise: Promise<T>,
  deadlineMs = PATIENCE_MS,
  detail: () => string = () => '',
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`waited ${deadlineMs} ms for ${what} ${detail()}`.trimEnd())),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
