import { type MonotonicMs, monotonicMs } from '../../core/clock.ts';
import { TICK_MS } from '../../core/timer-wheel.ts';
import {
  CLOSED,
  createDescriptorTable,
  type DescriptorOwner,
  type DescriptorTable,
  openDescriptorRecord,
} from '../linux/descriptor.ts';
import { type Result, systemError, WaitFailures } from '../linux/errno.ts';
import { EPOLL } from '../linux/layout.ts';
import type { Libc } from '../linux/libc.ts';
import { Pipe } from '../linux/pipe.ts';
import type { TcpOptions } from '../linux/tcp-options.ts';

/** Something that has work left: more to read than one turn allows, an outcome to tell after a call has returned. */
export interface Ready {
  /** The loop's to write: it waits in the queue. */
  queued: boolean;
  advance(): void;
  /** See `DescriptorOwner`. */
  onFault(): void;
}

export interface LoopOptions {
  readonly libc: Libc;
  readonly tcp: TcpOptions;
  /** A fault of the program; the loop goes on. */
  readonly onError: (error: unknown) => void;
  /** The longest single wait in the kernel; a tick unless given. */
  readonly longestWaitMs?: number | undefined;
  /** The record of open descriptors; see `openDescriptorRecord`. */
  readonly descriptorRecord?: SharedArrayBuffer | undefined;
  readonly clock?: MonotonicMs | undefined;
}

/** Milliseconds until something that the kernel was too short of memory or descriptors for is tried again. */
const RETRY_MS = 100;

/**
 * The event loop of one shard's sockets. A turn waits in the kernel and serves what comes, again and again, without a
 * return to the runtime; when it is woken through `wakeDescriptor`, and once a tick, it lets the runtime's own loop go
 * round once, so that messages, promises and timers of the thread run as usual.
 */
export class Loop {
  readonly libc: Libc;
  readonly table: DescriptorTable;
  /** For bulk transfers. */
  readonly pipe: Pipe;
  readonly tcp: TcpOptions;
  readonly onError: (error: unknown) => void;
  readonly #epoll: number;
  readonly #wake: Wake;
  readonly #failures = new WaitFailures();
  readonly #longestWaitMs: number;
  readonly #clock: MonotonicMs;
  #queue: Ready[] = [];
  #spare: Ready[] = [];
  #retries: Ready[] = [];
  #armed: NodeJS.Immediate | null = null;
  #running = false;
  #dueMs = 0;

  /** Throws a system error where the kernel refuses an epoll set or an eventfd. */
  constructor({ libc, tcp, onError, longestWaitMs, descriptorRecord, clock }: LoopOptions) {
    this.libc = libc;
    this.tcp = tcp;
    this.onError = onError;
    this.#longestWaitMs = longestWaitMs ?? TICK_MS;
    this.#clock = clock ?? monotonicMs;
    this.table = createDescriptorTable(libc, descriptorRecord ?? openDescriptorRecord());
    this.#epoll = this.#owned('epoll_create1', libc.epollCreate());
    this.pipe = new Pipe(libc, this.table);
    const wake = checked('eventfd', libc.eventfd());
    this.#wake = new Wake(libc);
    this.watch(this.#wake, wake, EPOLL.IN);
  }

  /** An eventfd: eight octets written to it from any thread, a count above zero, end the wait. */
  get wakeDescriptor(): number {
    return this.#wake.descriptor;
  }

  /**
   * Makes `owner` the owner of `descriptor` and asks for its events. Where the kernel has no room for it, the
   * descriptor is closed, and the error is the result.
   */
  watch(owner: DescriptorOwner, descriptor: number, events: number): Result {
    this.table.adopt(owner, descriptor);
    const watched = this.libc.watch(this.#epoll, descriptor, events, owner.generation);
    if (watched < 0) this.table.close(owner);
    return watched;
  }

  /** Asks for the events of a descriptor that is owned already, after `unwatch`. */
  rewatch(owner: DescriptorOwner, events: number): Result {
    return this.libc.watch(this.#epoll, owner.descriptor, events, owner.generation);
  }

  /**
   * Wants no more events. Closing is enough for a connection; a listening socket may live on in another process, and
   * then its events would go on coming here.
   */
  unwatch(owner: DescriptorOwner): void {
    if (owner.descriptor !== CLOSED) this.libc.unwatch(this.#epoll, owner.descriptor);
  }

  /** `ready.advance` is called soon, and never within this call. */
  enqueue(ready: Ready): void {
    if (ready.queued) return;
    ready.queued = true;
    this.#queue.push(ready);
  }

  /** `ready.advance` is called in a moment: what the kernel lacks now it may have then. */
  retrySoon(ready: Ready): void {
    if (this.#retries.push(ready) > 1) return;
    setTimeout(() => {
      const retries = this.#retries;
      this.#retries = [];
      for (const retry of retries) this.enqueue(retry);
    }, RETRY_MS).unref();
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#dueMs = this.#clock() + TICK_MS;
    this.#arm();
  }

  /** Closes every descriptor there is. Nobody is told anything any more. */
  close(): void {
    this.#running = false;
    if (this.#armed !== null) clearImmediate(this.#armed);
    this.#queue = [];
    this.table.closeAll();
  }

  #arm(): void {
    this.#armed = setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#wake.woken = false;
    do {
      this.#serve(this.#waitMs());
      if (!this.#running) return;
    } while (!this.#mustReturn());
    this.#arm();
  }

  #waitMs(): number {
    if (this.#queue.length > 0) return 0;
    // Rounded up: a wait that ends just before the tick would only have to be followed by another.
    return Math.max(0, Math.min(Math.ceil(this.#dueMs - this.#clock()), this.#longestWaitMs));
  }

  #mustReturn(): boolean {
    const nowMs = this.#clock();
    const isDue = nowMs >= this.#dueMs;
    if (isDue) this.#dueMs = nowMs + TICK_MS;
    return isDue || this.#wake.woken || this.#longestWaitMs < TICK_MS;
  }

  /** One batch of events, and one round of what was waiting: nobody gets a second helping before all had one. */
  #serve(waitMs: number): void {
    const { libc, table } = this;
    const count = libc.wait(this.#epoll, waitMs);
    // Nobody here would ever be served again: better a thread that dies, and is replaced.
    if (this.#failures.hopeless(count)) throw systemError('epoll_wait', count, 'of a shard');
    for (let at = 0; at < count; at++) {
      const owner = table.ownerOf(libc.descriptorAt(at), libc.generationAt(at));
      if (owner === undefined) continue; // closed by a callback earlier in this batch
      try {
        owner.onEvents(libc.eventsAt(at));
      } catch (error) {
        this.onError(error);
        owner.onFault();
      }
    }
    const round = this.#queue;
    if (round.length === 0) return;
    this.#queue = this.#spare;
    this.#spare = round;
    for (const ready of round) {
      ready.queued = false;
      if (!this.#running) break;
      try {
        ready.advance();
      } catch (error) {
        this.onError(error);
        ready.onFault();
      }
    }
    round.length = 0;
  }

  #owned(syscall: string, result: Result): number {
    const owner = { descriptor: CLOSED, generation: 0, onEvents() {}, onFault() {} };
    this.table.adopt(owner, checked(syscall, result));
    return owner.descriptor;
  }
}

/** The eventfd that ends a wait. */
class Wake implements DescriptorOwner {
  descriptor = CLOSED;
  generation = 0;
  woken = false;
  readonly #libc: Libc;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  onEvents(): void {
    this.#libc.drainEvent(this.descriptor);
    this.woken = true;
  }

  onFault(): void {}
}

function checked(syscall: string, result: Result): number {
  if (result < 0) throw systemError(syscall, result, 'for a shard');
  return result;
}
