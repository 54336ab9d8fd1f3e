import { generate } from '../generator.ts';
import { settledKib } from '../measure.ts';
import type { Running, Surroundings } from '../subjects/subject.ts';
import type { Visit } from './workload.ts';

/** Sessions that a fresh process has served before it is looked at: code is loaded and pools have grown. */
const WARM_SESSIONS = 300;

/** A fresh process of a subject, and what it held before the work. */
export interface Fresh {
  readonly running: Running;
  /** Resident KiB once warmed up and settled; undefined where there is no process. */
  readonly beforeKib: number | undefined;
  /** What it holds more by now, in KiB for each of `sessions`, once settled; no sample where there is no process. */
  growth(sessions: number): Promise<readonly number[]>;
}

/**
 * Starts the visit's subject anew, because a process that has served many keeps their memory, and warms it up: with
 * messages, or with greetings alone where `bytes` is undefined. It is stopped when `work` has settled.
 */
export async function withFresh<T>(
  { subject }: Visit,
  surroundings: Surroundings,
  bytes: number | undefined,
  work: (fresh: Fresh) => Promise<T>,
): Promise<T> {
  const running = await subject.start(surroundings);
  const { address, pid } = running;
  try {
    await generate({ address, count: WARM_SESSIONS, parallel: 20, ...(bytes !== undefined && { bytes }) });
    const beforeKib = pid === undefined ? undefined : await settledKib(pid);
    async function growth(sessions: number): Promise<readonly number[]> {
      return pid === undefined || beforeKib === undefined
        ? []
        : [((await settledKib(pid)) - beforeKib) / sessions];
    }
    return await work({ running, beforeKib, growth });
  } finally {
    await running.stop();
  }
}
