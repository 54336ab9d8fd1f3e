import { BroadcastChannel, Worker } from 'node:worker_threads';
import type { Patience } from '../../lib/shard/crew.ts';
import type { ShardChoice } from '../../lib/shards.ts';
import type { TransportName } from '../../lib/transport/fast.ts';
import { LOADER, moduleUrl, THREAD_LOADER } from '../support/checkout.ts';
import { within } from '../support/eventually.ts';
import type { Owner } from '../support/owner.ts';
import type { SmallRing } from '../transport/faulty-koffi.ts';
import { type CallFaults, CHANNEL, HEARD, type ThreadFault } from './faulty-thread.ts';

/** Enough for a shard, and for the loader of TypeScript where there is one; filled within a second. */
const HEAP_MB = LOADER.length === 0 ? 80 : 160;

/** One shard in a thread that can be told to fail. */
export interface FaultyShards {
  readonly choice: ShardChoice;
  /** All threads of this process that can be told to. */
  suffer(fault: ThreadFault): void;
  /** The C library of all these threads fails; resolves when one has heard of it. */
  fail(faults: CallFaults): Promise<void>;
  /** Threads started so far. */
  readonly started: number;
  /** Those started from now on end at once, with this status; null: they do not. */
  dieAtStart(status: number | null): void;
}

export interface FaultyOptions {
  readonly patience?: Patience;
  readonly ring?: SmallRing;
}

export function faultyShards(
  owner: Owner,
  transport: TransportName,
  { patience, ring }: FaultyOptions = {},
): FaultyShards {
  const channel = new BroadcastChannel(CHANNEL);
  owner.teardown(() => channel.close());
  const faults = JSON.stringify(moduleUrl('spec/shard/faulty-thread'));
  const entry = JSON.stringify(moduleUrl('lib/shard/worker'));
  const code = `${THREAD_LOADER}.then(() => import(${faults}))
    .then(({ listen }) => { listen(${JSON.stringify(ring ?? null)}); return import(${entry}); })`;
  let started = 0;
  let status: number | null = null;
  return {
    choice: {
      seats: [{ transport, speaksTls: true, inThread: false }],
      notes: [],
      ...(patience && { patience }),
      spawn(workerData) {
        started++;
        return new Worker(status === null ? code : `process.exit(${status})`, {
          eval: true,
          workerData,
          resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
        });
      },
    },
    suffer: fault => channel.postMessage(fault),
    fail(faults) {
      const heard = new Promise<void>(resolve => {
        channel.onmessage = event => (event as { data: unknown }).data === HEARD && resolve();
      });
      channel.postMessage(faults);
      return within('the thread to hear of it', heard);
    },
    get started() {
      return started;
    },
    dieAtStart(next) {
      status = next;
    },
  };
}
