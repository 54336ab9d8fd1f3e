import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { type Client, createClientLimits, type PerClientLimits } from '../../lib/admission/client-limits.ts';
import { randomFrom } from '../smtp/random.ts';

/** What one thread is to do: let clients in and out, as one shard of several. */
export interface Contest {
  readonly limits: PerClientLimits;
  readonly shard: number;
  readonly threads: number;
  readonly clients: number;
  /** Sessions to let in and out; Infinity to go on until the thread is ended. */
  readonly rounds: number;
  readonly seed: number;
  /** Int32: how many threads are there, sessions inside by client, rounds done by thread. */
  readonly shared: SharedArrayBuffer;
}

/** What it saw. */
export interface Outcome {
  readonly admitted: number;
  readonly refused: number;
  /** The most sessions of one client that were ever inside at once, over all threads. */
  readonly highest: number;
}

/** Columns of `Contest.shared`. */
export function openShared(memory: SharedArrayBuffer, clients: number) {
  const there = new Int32Array(memory, 0, 1);
  const inside = new Int32Array(memory, 4, clients);
  const rounds = new Int32Array(memory, 4 + 4 * clients);
  return { there, inside, rounds };
}

export function contend({ limits, shard, threads, clients, rounds, seed, shared }: Contest): Outcome {
  const { there, inside, rounds: done } = openShared(shared, clients);
  const random = randomFrom(seed);
  const door = createClientLimits(limits, shard);
  // Nobody begins before all are there: a thread takes longer to start than to finish.
  Atomics.add(there, 0, 1);
  Atomics.notify(there, 0);
  for (let seen = 0; seen < threads; seen = Atomics.load(there, 0)) Atomics.wait(there, 0, seen, 50);

  const mine: { readonly at: number; readonly client: Client }[] = [];
  const leave = (): void => {
    const session = mine.splice(random.below(mine.length), 1)[0];
    if (session === undefined) return;
    Atomics.sub(inside, session.at, 1);
    door.leave(session.client);
  };
  let [admitted, refused, highest] = [0, 0, 0];
  for (let round = 0; round < rounds; round++) {
    const at = random.below(clients);
    const client = door.enter({ family: 'ipv4', host: `192.0.2.${at}`, port: 1 }, 1_000);
    if (typeof client === 'object') {
      admitted++;
      // It counts itself in after it was let in, and out before it leaves: never more than are let in.
      highest = Math.max(highest, Atomics.add(inside, at, 1) + 1);
      mine.push({ at, client });
    } else refused++;
    if (mine.length > 3) leave();
    Atomics.add(done, shard, 1);
  }
  while (mine.length > 0) leave();
  return { admitted, refused, highest };
}

if (!isMainThread) parentPort?.postMessage(contend(workerData as Contest));
