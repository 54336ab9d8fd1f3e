import type { ShardSigns } from '../core/shard-stats.ts';
import type { SessionRecord } from '../session/record.ts';
import { sessionLine } from './access-log.ts';

/**
 * Lines on their way to the control plane at most: a thread that does not take them must not fill the memory. Beyond it
 * they are thrown away and counted, and no session waits.
 */
export const LINES_UNDERWAY = 65_536;

export interface LineGate {
  add(records: readonly SessionRecord[]): void;
}

/** `taken` is where the receiver counts what it has taken (`countTaken`). */
export function createLineGate(
  instance: string,
  taken: SharedArrayBuffer,
  signs: ShardSigns,
  deliver: (lines: readonly string[]) => void,
): LineGate {
  const takenCount = new Int32Array(taken);
  let underway = 0;
  let seen = Atomics.load(takenCount, 0);
  return {
    add(records) {
      const now = Atomics.load(takenCount, 0);
      underway -= (now - seen) | 0; // it may wrap
      seen = now;
      const room = Math.max(0, LINES_UNDERWAY - underway);
      const kept = records.length > room ? records.slice(0, room) : records;
      signs.recordsDropped += records.length - kept.length;
      if (kept.length === 0) return;
      underway += kept.length;
      deliver(kept.map(record => sessionLine(record, instance)));
    },
  };
}

/** What a receiver's count of taken lines is kept in. */
export function createTaken(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

export function countTaken(taken: SharedArrayBuffer, lines: number): void {
  Atomics.add(new Int32Array(taken), 0, lines);
}
