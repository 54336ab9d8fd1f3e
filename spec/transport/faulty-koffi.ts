/** A kernel that says what it says only when it is short of something: the real one, but for what is told to fail. */
import { constants } from 'node:os';
import { KIND } from '../../lib/transport/uring/operations.ts';

export type ErrorName = keyof typeof constants.errno;

/**
 * Asked before each call of a function of the C library (`recv`, and `io_uring_enter` for what has no function), and for each
 * operation that is handed over to io_uring (`ring/accept`, by its kind): how it fails, if it is to.
 */
export type FailsWith = (call: string) => ErrorName | undefined;

/** Places in the ring of io_uring, far fewer than usual: what is done, and what is to be done, overflows. */
export interface SmallRing {
  readonly entries: number;
  readonly completions: number;
}

type Koffi = typeof import('koffi');

/** Numbers of the system calls, for there are no functions for them. */
const IO_URING_SETUP = 425;
const IO_URING_ENTER = 426;
/** `struct io_uring_params`: `sq_off` begins at word 10. */
const PARAMS_OCTETS = 120;
const SQES_AT = 0x1000_0000;
const SQE_WORDS = 16;
/** Does nothing, and completes with the result that stands in its length (IORING_NOP_INJECT_RESULT, Linux 6.10). */
const NOP = 0;
const INJECT_RESULT = 1;
const KIND_MASK = 7;

const KIND_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(KIND).map(([name, kind]) => [kind, `ring/${name}`]),
);

/** A submission queue, in memory that is shared with the kernel. */
interface Queue {
  readonly entries: number;
  readonly headWord: number;
  readonly tailWord: number;
  words?: Int32Array;
  sqes?: Int32Array;
}

/** koffi, whose functions and operations fail as `failsWith` says. */
export async function faultyKoffi(failsWith: FailsWith, ring: SmallRing | null = null): Promise<Koffi> {
  const koffi = await import('koffi');
  // One for each piece of memory: nobody may make a second one.
  const views = new Map<bigint, ArrayBuffer>();
  const view = (address: bigint, octets: number): ArrayBuffer => {
    const known = views.get(address);
    if (known !== undefined && known.byteLength === octets) return known;
    const made = koffi.view(address, octets);
    views.set(address, made);
    return made;
  };
  const queues = new Map<number, Queue>();

  const load = (path: string | null) => {
    const library = koffi.load(path);
    const func = (name: string, result: string, args: string[]) => {
      const real = library.func(name, result, args);
      const call = (...values: unknown[]): number | bigint => {
        const known = name === 'syscall' && values[0] === IO_URING_ENTER ? 'io_uring_enter' : name;
        const error = failsWith(known);
        if (error === undefined) return real(...values);
        // Whatever it says, Linux has given the descriptor back.
        if (name === 'close') real(...values);
        koffi.errno(constants.errno[error]);
        return -1;
      };
      if (name === 'mmap')
        return (...values: unknown[]) => {
          const address = call(...values);
          const queue = queues.get(values[4] as number);
          const words = () => new Int32Array(view(BigInt(address), values[1] as number));
          if (queue !== undefined && values[5] === 0) queue.words = words();
          if (queue !== undefined && values[5] === SQES_AT) queue.sqes = words();
          return address;
        };
      if (name !== 'syscall') return call;
      return (...values: unknown[]) => {
        if (values[0] === IO_URING_ENTER) {
          const queue = queues.get(values[1] as number);
          if (queue !== undefined) spoil(queue, failsWith);
        }
        if (values[0] !== IO_URING_SETUP) return call(...values);
        const params = new Int32Array(view(BigInt(values[2] as number), PARAMS_OCTETS));
        if (ring !== null) {
          params[1] = ring.completions;
          values[1] = ring.entries;
        }
        const descriptor = call(...values);
        const [entries = 0, headOctet = 0, tailOctet = 0] = [params[0], params[10], params[11]];
        queues.set(Number(descriptor), { entries, headWord: headOctet / 4, tailWord: tailOctet / 4 });
        return descriptor;
      };
    };
    return { func };
  };
  return { ...koffi, load, view } as unknown as Koffi;
}

/** Operations that are about to be handed over, and are to fail, become some that the kernel itself lets fail. */
function spoil({ entries, headWord, tailWord, words, sqes }: Queue, failsWith: FailsWith): void {
  if (words === undefined || sqes === undefined) return;
  const tail = words[tailWord] as number;
  for (let entry = words[headWord] as number; entry !== tail; entry = (entry + 1) | 0) {
    const at = (entry & (entries - 1)) * SQE_WORDS;
    if (sqes[at] === NOP) continue; // it has been seen to: the call before did not take it
    const error = failsWith(KIND_NAMES.get((sqes[at + 8] as number) & KIND_MASK) ?? '');
    if (error === undefined) continue;
    const tag = sqes[at + 8] as number;
    sqes.fill(0, at, at + SQE_WORDS);
    sqes[at] = NOP;
    sqes[at + 1] = -1;
    sqes[at + 6] = -constants.errno[error];
    sqes[at + 7] = INJECT_RESULT;
    sqes[at + 8] = tag;
  }
}
