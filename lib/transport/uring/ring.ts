import { type Result, systemError, WaitFailures } from '../linux/errno.ts';
import type { Mapping, Memory, MemoryAddress, RingCalls } from '../linux/libc.ts';

/**
 * The two queues that are shared with the kernel (io_uring(7)): what is to be done is written into one, what has been
 * done is read from the other, and one system call a turn hands over and waits. An operation is a record of numbers in
 * mapped memory; nothing is allocated for it, and no call is made.
 *
 * Only the thread that made a ring may use it. A completion carries the tag of its operation.
 */
export class Ring {
  readonly descriptor: number;
  readonly #calls: RingCalls;
  readonly #words: Int32Array;
  readonly #sqes: Int32Array;
  readonly #at: Offsets;
  readonly #wait: Memory;
  readonly #failures = new WaitFailures();
  readonly #completion: Completion = { tag: 0, result: 0, buffer: -1, more: false };
  #tail = 0;
  #submitted = 0;
  #head = 0;

  /** Throws a system error where the kernel refuses. */
  constructor(calls: RingCalls, onMapped: (mapping: Mapping) => void) {
    this.#calls = calls;
    const params = calls.allocate(PARAMS_OCTETS);
    params.words[COMPLETIONS_WORD] = COMPLETIONS;
    params.words[FLAGS_WORD] = SETUP_FLAGS;
    this.descriptor = calls.setup(ENTRIES, params);
    if (this.descriptor < 0) throw systemError('io_uring_setup', this.descriptor, 'for a shard');
    this.#at = offsets(params.words);
    this.#words = this.#mapped(0, this.#at.octets, onMapped);
    this.#sqes = this.#mapped(SQES_AT, this.#at.entries * SQE_WORDS * 4, onMapped);
    // Entry n of the queue is always record n.
    for (let entry = 0; entry < this.#at.entries; entry++) this.#words[this.#at.array + entry] = entry;
    // struct io_uring_getevents_arg, whose `ts` points to the timespec that stands behind it.
    this.#wait = calls.allocate(WAIT_OCTETS + TIMESPEC_OCTETS);
    const timespec = calls.at(this.#wait.address, WAIT_OCTETS);
    this.#wait.words[4] = low(timespec);
    this.#wait.words[5] = high(timespec);
  }

  /**
   * Hands over what is to be done, and waits for a completion at most `waitMs` (below 1,000); 0: not at all. Throws where
   * the ring is of no use any more, as when completions were lost (EBADR).
   */
  enter(waitMs: number): Result {
    if (waitMs > 0) this.#wait.words[NANOSECONDS_WORD] = waitMs * 1_000_000;
    const pending = (this.#tail - this.#submitted) | 0;
    // Nobody but this call looks there.
    Atomics.store(this.#words, this.#at.sqTail, this.#tail);
    const entered = this.#calls.enter(
      this.descriptor,
      pending,
      waitMs > 0 ? 1 : 0,
      ENTER_FLAGS,
      this.#wait,
      WAIT_OCTETS,
    );
    // What was not taken (a signal, no memory) stays in the queue for the next time.
    this.#submitted = Atomics.load(this.#words, this.#at.sqHead);
    // Nobody here would ever be served again: better a thread that dies, and is replaced.
    if (this.#failures.hopeless(entered)) throw systemError('io_uring_enter', entered, 'of a shard');
    return entered;
  }

  /** Gives each completion that is there to `handle`; the object is valid during the call only. */
  reap(handle: (completion: Completion) => void): void {
    const words = this.#words;
    const { cqes, cqHead, cqMask, cqTail } = this.#at;
    const tail = Atomics.load(words, cqTail);
    const completion = this.#completion;
    while (this.#head !== tail) {
      const at = cqes + (this.#head & cqMask) * CQE_WORDS;
      const flags = words[at + 3] as number;
      completion.tag = words[at] as number;
      completion.result = words[at + 2] as number;
      completion.buffer = (flags & HAS_BUFFER) === 0 ? -1 : flags >>> 16;
      completion.more = (flags & NON_EMPTY) !== 0;
      this.#head = (this.#head + 1) | 0;
      // Their places are free again, a batch at a time: what is done about them may need some.
      if ((this.#head & FREED_MASK) === 0) Atomics.store(words, cqHead, this.#head);
      handle(completion);
    }
    Atomics.store(words, cqHead, this.#head);
  }

  /** The peer's address goes to `address`, whose length stands at `length` before and after. */
  accept(descriptor: number, tag: number, address: MemoryAddress, length: MemoryAddress): void {
    const at = this.#entry(OP.ACCEPT, descriptor, tag);
    this.#sqes[at + 2] = low(length);
    this.#sqes[at + 3] = high(length);
    this.#point(at, address);
    this.#sqes[at + 7] = ACCEPT_FLAGS;
  }

  connect(descriptor: number, tag: number, address: MemoryAddress, octets: number): void {
    const at = this.#entry(OP.CONNECT, descriptor, tag);
    this.#sqes[at + 2] = octets;
    this.#point(at, address);
  }

  /** Receives into a buffer of the group. `wait`: it is known that nothing is there, so look only when told. */
  receive(descriptor: number, tag: number, group: number, wait: boolean): void {
    const at = this.#entry(OP.RECEIVE | SELECT_BUFFER | (wait ? POLL_FIRST : 0), descriptor, tag);
    this.#sqes[at + 10] = group;
  }

  /** Sends what the kernel takes at once; -EAGAIN where that is nothing. */
  send(descriptor: number, tag: number, address: MemoryAddress, octets: number): void {
    const at = this.#entry(OP.SEND, descriptor, tag);
    this.#point(at, address);
    this.#sqes[at + 6] = octets;
    this.#sqes[at + 7] = SEND_FLAGS;
  }

  /** Completes when one of the events is there, or an error. */
  poll(descriptor: number, tag: number, events: number): void {
    this.#sqes[this.#entry(OP.POLL, descriptor, tag) + 7] = events;
  }

  /** Ends the operation with this tag, which completes with an error if it has not already. */
  cancel(tag: number, ownTag: number): void {
    this.#sqes[this.#entry(OP.CANCEL | QUIET, -1, ownTag) + 4] = tag;
  }

  /** A fresh record; the kernel looks at it in `enter`, and not before. */
  #entry(operation: number, descriptor: number, tag: number): number {
    while (((this.#tail - this.#submitted) | 0) >= this.#at.entries) this.enter(0);
    const sqes = this.#sqes;
    const at = (this.#tail & (this.#at.entries - 1)) * SQE_WORDS;
    sqes[at] = operation;
    sqes[at + 1] = descriptor;
    for (let word = at + 2; word < at + SQE_WORDS; word++) sqes[word] = 0;
    sqes[at + 8] = tag;
    this.#tail = (this.#tail + 1) | 0;
    return at;
  }

  #point(at: number, address: MemoryAddress): void {
    this.#sqes[at + 4] = low(address);
    this.#sqes[at + 5] = high(address);
  }

  #mapped(offset: number, octets: number, onMapped: (mapping: Mapping) => void): Int32Array {
    const mapping = this.#calls.map(this.descriptor, offset, octets);
    if (mapping === undefined) throw new Error('mmap: the memory of the ring cannot be had');
    onMapped(mapping);
    return mapping.words;
  }
}

/** How one operation went. */
export interface Completion {
  tag: number;
  /** A count of octets, a descriptor, events; below zero the error's number. */
  result: number;
  /** The buffer that holds what was received; -1 where there is none. */
  buffer: number;
  /** There is more to receive. */
  more: boolean;
}

/** Numbers of linux/io_uring.h. An operation stands in the lowest octet of its word, its flags above. */
const OP = { POLL: 6, ACCEPT: 13, CANCEL: 14, CONNECT: 16, SEND: 26, RECEIVE: 27 } as const;
const SELECT_BUFFER = 1 << (8 + 5);
/** No completion where it succeeds. */
const QUIET = 1 << (8 + 6);
/** IORING_RECVSEND_POLL_FIRST, in the upper half of the word. */
const POLL_FIRST = 1 << 16;
const HAS_BUFFER = 1;
const NON_EMPTY = 1 << 2;
const ACCEPT_FLAGS = 0o4000 | 0o2000000; // SOCK_NONBLOCK, SOCK_CLOEXEC
const SEND_FLAGS = 0x40 | 0x4000; // MSG_DONTWAIT, MSG_NOSIGNAL
const ENTER_FLAGS = (1 << 0) | (1 << 3); // GETEVENTS, EXT_ARG

const ENTRIES = 4_096;
const COMPLETIONS = 16_384;
/** Completions whose places are given back together, less one; a power of two, less one. */
const FREED_MASK = 255;
const SETUP_FLAGS =
  (1 << 3) | // CQSIZE
  (1 << 7) | // SUBMIT_ALL: one bad operation does not hold up the rest
  (1 << 12) | // SINGLE_ISSUER
  (1 << 13); // DEFER_TASKRUN: work is done when we ask for it, and not in between
const PARAMS_OCTETS = 120;
const COMPLETIONS_WORD = 1;
const FLAGS_WORD = 2;
const SQES_AT = 0x1000_0000;
const SQE_WORDS = 16;
const CQE_WORDS = 4;
const WAIT_OCTETS = 24;
const TIMESPEC_OCTETS = 16;
const NANOSECONDS_WORD = (WAIT_OCTETS + 8) / 4;

/** Where things are in the mapped memory, in words; `octets` is its size. */
interface Offsets {
  readonly octets: number;
  readonly entries: number;
  readonly sqHead: number;
  readonly sqTail: number;
  readonly array: number;
  readonly cqHead: number;
  readonly cqTail: number;
  readonly cqMask: number;
  readonly cqes: number;
}

/** Reads them from `struct io_uring_params`: `sq_off` begins at word 10, `cq_off` at word 20. */
function offsets(params: Int32Array): Offsets {
  const field = (word: number): number => params[word] as number;
  const entries = field(0);
  const completions = field(COMPLETIONS_WORD);
  const cqes = field(25);
  const array = field(16);
  return {
    octets: Math.max(array + entries * 4, cqes + completions * CQE_WORDS * 4),
    entries,
    sqHead: field(10) / 4,
    sqTail: field(11) / 4,
    array: array / 4,
    cqHead: field(20) / 4,
    cqTail: field(21) / 4,
    cqMask: completions - 1,
    cqes: cqes / 4,
  };
}

function low(address: MemoryAddress): number {
  return address | 0;
}

function high(address: MemoryAddress): number {
  return Math.floor(address / 0x1_0000_0000);
}
