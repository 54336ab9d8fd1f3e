/** What a shard's thread is told to suffer, beside its work: imported before it by `faulty-shards.ts`. */
import { BroadcastChannel } from 'node:worker_threads';
import { HERE } from '../../lib/transport/linux/foreign.ts';
import { type ErrorName, faultyKoffi, type SmallRing } from '../transport/faulty-koffi.ts';

export const FAULTS = ['exit', 'throw', 'memory', 'hang'] as const;
export type ThreadFault = (typeof FAULTS)[number];

/** The kernel fails: one in `every` of these calls, by the names of `FailsWith`, with the errors of each in turn. */
export interface CallFaults {
  readonly every: number;
  readonly calls: Readonly<Record<string, readonly ErrorName[]>>;
}

/** Where all threads of this process that can be told so listen. */
export const CHANNEL = 'smtplb-test-faults';
/** What a thread says there when its calls fail from now on. */
export const HEARD = 'heard';

let faults: CallFaults = { every: 1, calls: {} };
let called = 0;

export function listen(ring: SmallRing | null = null): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = event => {
    const { data } = event as { data: ThreadFault | CallFaults | typeof HEARD };
    if (data === HEARD) return;
    if (typeof data === 'string') return suffer(data);
    faults = data;
    channel.postMessage(HEARD);
  };
  channel.unref();
  Object.assign(HERE, { importKoffi: () => faultyKoffi(failsWith, ring) });
}

function suffer(fault: ThreadFault): void {
  switch (fault) {
    case 'exit':
      return process.exit(7);
    case 'throw':
      // Behind everybody's back: nobody is there to catch it.
      setImmediate(() => {
        throw new Error('thrown by the test');
      });
      return;
    case 'memory': {
      // Of what the collector need not look into: it would be busy for longer than a thread may be silent.
      const kept: number[][] = [];
      for (;;) kept.push(new Array<number>(500_000).fill(0.5));
    }
    case 'hang':
      for (;;);
  }
}

/** One in so many of the calls that are to fail. */
function failsWith(call: string): ErrorName | undefined {
  const errors = faults.calls[call];
  if (errors === undefined || ++called % faults.every !== 0) return undefined;
  return errors[(called / faults.every) % errors.length];
}
