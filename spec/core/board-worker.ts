import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { giveBack, openBoard, take } from '../../lib/core/board.ts';

/** What one thread is to do: take and give back one row's count, `rounds` times. */
export interface Contest {
  readonly memory: SharedArrayBuffer;
  readonly row: number;
  readonly limit: number;
  readonly amount: number;
  readonly rounds: number;
}

/** What it saw. */
export interface Outcome {
  readonly taken: number;
  readonly refused: number;
  /** The highest count it ever read while it held its own. */
  readonly highest: number;
}

export function contend({ memory, row, limit, amount, rounds }: Contest): Outcome {
  const { backendSlots } = openBoard(memory);
  let [taken, refused, highest] = [0, 0, 0];
  for (let round = 0; round < rounds; round++) {
    if (!take(backendSlots, row, limit, amount)) {
      refused++;
      continue;
    }
    taken++;
    highest = Math.max(highest, Atomics.load(backendSlots, row));
    // Holding it for a moment, and not for the same one each time, is what makes threads meet.
    for (let spin = round % 64; spin > 0; spin--)
      highest = Math.max(highest, Atomics.load(backendSlots, row));
    giveBack(backendSlots, row, amount);
  }
  return { taken, refused, highest };
}

if (!isMainThread) parentPort?.postMessage(contend(workerData as Contest));
