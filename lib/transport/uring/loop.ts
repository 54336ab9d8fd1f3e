import { monotonicMs } from '../../core/clock.ts';
import { TICK_MS } from '../../core/timer-wheel.ts';
import type { EpollOptions } from '../epoll/transport.ts';
import {
  CLOSED,
  createDescriptorTable,
  type DescriptorHolder,
  noteMapping,
  openDescriptorRecord,
} from '../linux/descriptor.ts';
import { systemError } from '../linux/errno.ts';
import type { Libc, Mapping, RingCalls } from '../linux/libc.ts';
import { Pipe } from '../linux/pipe.ts';
import type { TcpOptions } from '../linux/tcp-options.ts';
import { Buffers } from './buffers.ts';
import { KIND, type OperationOwner, Operations, tagOf } from './operations.ts';
import { type Completion, Ring } from './ring.ts';
import type { Shared } from './shared.ts';

const POLLIN = 1;

export type LoopOptions = Omit<EpollOptions, 'tcp'> & { readonly tcp: TcpOptions };

/**
 * The event loop of one shard's sockets. A turn hands over what is to be done, waits, and works off what has been done,
 * again and again, without a return to the runtime; when it is woken through `wakeDescriptor`, and once a tick, it lets
 * the runtime's own loop go round once, so that messages, promises and timers of the thread run as usual.
 */
export class Loop {
  readonly shared: Shared;
  readonly #wake: Wake;
  readonly #ringHolder: DescriptorHolder = { descriptor: CLOSED, generation: 0 };
  readonly #longestWaitMs: number;
  #armed: NodeJS.Immediate | null = null;
  #running = false;
  #dueMs = 0;

  /** Throws a system error where the kernel refuses. */
  constructor(
    libc: Libc,
    calls: RingCalls,
    onHandlerError: (error: unknown) => void,
    { longestWaitMs = TICK_MS, descriptorRecord, tcp }: LoopOptions,
  ) {
    this.#longestWaitMs = longestWaitMs;
    const record = descriptorRecord ?? openDescriptorRecord();
    const table = createDescriptorTable<DescriptorHolder>(libc, record);
    const onMapped = ({ address, octets }: Mapping): void => noteMapping(record, address, octets);
    try {
      const ring = new Ring(calls, onMapped);
      table.adopt(this.#ringHolder, ring.descriptor);
      const operations = new Operations();
      const buffers = new Buffers(calls, ring, onMapped);
      const pipe = new Pipe(libc, table);
      this.shared = { libc, calls, table, ring, buffers, pipe, operations, tcp, onHandlerError, later: [] };
      const wake = libc.eventfd();
      if (wake < 0) throw systemError('eventfd', wake, 'for a shard');
      this.#wake = new Wake(this.shared);
      table.adopt(this.#wake, wake);
    } catch (error) {
      table.closeAll();
      throw error;
    }
    this.#wake.arm();
  }

  get wakeDescriptor(): number {
    return this.#wake.descriptor;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#dueMs = monotonicMs() + TICK_MS;
    this.#arm();
  }

  /** Closes every descriptor there is. Nobody is told anything any more. */
  close(): void {
    this.#running = false;
    if (this.#armed !== null) clearImmediate(this.#armed);
    this.shared.table.closeAll();
  }

  #arm(): void {
    this.#armed = setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#wake.woken = false;
    do {
      this.#serve();
      if (!this.#running) return;
    } while (!this.#mustReturn());
    this.#arm();
  }

  #serve(): void {
    const { shared } = this;
    shared.ring.enter(shared.later.length > 0 ? 0 : this.#waitMs());
    shared.ring.reap(this.#dispatch);
    const round = shared.later;
    if (round.length === 0) return;
    // Those who queue up again while these go on have their turn in the next round.
    shared.later = [];
    for (const waiting of round) {
      try {
        waiting.goOn();
      } catch (error) {
        shared.onHandlerError(error);
      }
    }
  }

  /** What throws here is a fault of the transport itself; the loop goes on. */
  readonly #dispatch = (completion: Completion): void => {
    try {
      this.shared.operations.dispatch(completion);
    } catch (error) {
      this.shared.onHandlerError(error);
    }
  };

  #waitMs(): number {
    return Math.max(0, Math.min(Math.ceil(this.#dueMs - monotonicMs()), this.#longestWaitMs));
  }

  #mustReturn(): boolean {
    const nowMs = monotonicMs();
    const isDue = nowMs >= this.#dueMs;
    if (isDue) this.#dueMs = nowMs + TICK_MS;
    return isDue || this.#wake.woken || this.#longestWaitMs < TICK_MS;
  }
}

/** The eventfd that ends a wait. */
class Wake implements DescriptorHolder, OperationOwner {
  descriptor = CLOSED;
  generation = 0;
  woken = false;
  readonly #shared: Shared;
  readonly #slot: number;

  constructor(shared: Shared) {
    this.#shared = shared;
    this.#slot = shared.operations.enter(this);
  }

  arm(): void {
    this.#shared.ring.poll(this.descriptor, tagOf(this.#slot, KIND.wake), POLLIN);
  }

  completed(): void {
    this.#shared.libc.drainEvent(this.descriptor);
    this.woken = true;
    this.arm();
  }
}
