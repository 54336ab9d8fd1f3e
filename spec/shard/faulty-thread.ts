/** What a shard's thread is told to suffer, beside its work: imported before it by `faulty-shards.ts`. */
import { constants } from 'node:os';
import { BroadcastChannel } from 'node:worker_threads';
import { HERE } from '../../lib/transport/linux/foreign.ts';

export const FAULTS = ['exit', 'throw', 'memory', 'hang'] as const;
export type ThreadFault = (typeof FAULTS)[number];

export type ErrorName = keyof typeof constants.errno;

/** The C library fails: one in `every` calls of each of these functions, with its errors in turn. */
export interface CallFaults {
  readonly every: number;
  readonly calls: Readonly<Record<string, readonly ErrorName[]>>;
}

/** Where all threads of this process that can be told so listen. */
export const CHANNEL = 'smtplb-test-faults';

/** Numbers of the system calls, for there are no functions for them. */
const IO_URING_SETUP = 425;
const IO_URING_ENTER = 426;
/** `struct io_uring_params`; its first word is written by the kernel, its second is what is asked for. */
const PARAMS_OCTETS = 120;

/** Places in the ring of io_uring, far fewer than usual: what is done, and what is to be done, overflows. */
export interface SmallRing {
  readonly entries: number;
  readonly completions: number;
}

let faults: CallFaults = { every: 1, calls: {} };

export function listen(ring: SmallRing | null = null): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = event => {
    const { data } = event as { data: ThreadFault | CallFaults };
    if (typeof data === 'string') suffer(data);
    else faults = data;
  };
  channel.unref();
  Object.assign(HERE, { importKoffi: () => importFaultyKoffi(ring) });
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
      const kept: object[] = [];
      for (;;) kept.push(new Array(500_000).fill(kept));
    }
    case 'hang':
      for (;;);
  }
}

/** The real one, whose functions fail as they were told to. */
async function importFaultyKoffi(ring: SmallRing | null): Promise<typeof import('koffi')> {
  const koffi = await import('koffi');
  let called = 0;
  const load = (path: string | null) => {
    const library = koffi.load(path);
    const func = (name: string, result: string, args: string[]) => {
      const real = library.func(name, result, args);
      return (...values: unknown[]) => {
        if (ring !== null && name === 'syscall' && values[0] === IO_URING_SETUP) {
          new Int32Array(koffi.view(BigInt(values[2] as number), PARAMS_OCTETS))[1] = ring.completions;
          values[1] = ring.entries;
        }
        const known = name === 'syscall' && values[0] === IO_URING_ENTER ? 'io_uring_enter' : name;
        const errors = faults.calls[known];
        if (errors === undefined || ++called % faults.every !== 0) return real(...values);
        const error = errors[(called / faults.every) % errors.length] as ErrorName;
        koffi.errno(constants.errno[error]);
        return -1;
      };
    };
    return { func };
  };
  return { ...koffi, load } as unknown as typeof koffi;
}
