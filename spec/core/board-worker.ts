import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { giveBack, openBoard, take } from '../../lib/core/board.ts';

/** What one thread is to do: take one row's count and give it back, until that has succeeded `rounds` times. */
export interface Contest {
  readonly memory: SharedArrayBuffer;
  readonly row: number;
  readonly limit: number;
  readonly amount: number;
  readonly rounds: number;
  /** How many take part. */
  readonly threads: number;
}

/** What it saw. */
export interface Outcome {
  readonly taken: number;
  readonly refused: number;
  /** The highest count it ever read while it held its own. */
  readonly highest: number;
}

export function contend({ memory, row, limit, amount, rounds, threads }: Contest): Outcome {
  const { backendSlots, descriptors } = openBoard(memory);
  // Nobody begins before all are there: a thread takes longer to start than to finish.
  Atomics.add(descriptors, 0, 1);
  Atomics.notify(descriptors, 0);
  for (let there = 0; there < threads; there = Atomics.load(descriptors, 0))
    Atomics.wait(descriptors, 0, there, 50);

  let [taken, refused, highest] = [0, 0, 0];
  while (taken < rounds) {
    if (!take(backendSlots, row, limit, amount)) {
      refused++;
      continue;
    }
    taken++;
    // Holding it for a moment, and not for the same one each time, is what makes threads meet.
    for (let spin = taken % 16; spin >= 0; spin--)
      highest = Math.max(highest, Atomics.load(backendSlots, row));
    giveBack(backendSlots, row, amount);
  }
  return { taken, refused, highest };
}

if (!isMainThread) parentPort?.postMessage(contend(workerData as Contest));
