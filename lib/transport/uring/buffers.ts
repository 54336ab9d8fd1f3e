import { systemError } from '../linux/errno.ts';
import type { Mapping, Memory, MemoryAddress, RingCalls } from '../linux/libc.ts';
import type { Ring } from './ring.ts';

/** Octets of one buffer. Bulk transfers do not go through here (bulk.ts): all of them together should fit a cache. */
export const BUFFER_OCTETS = 65_536;
/** Buffers of a shard; a power of two. */
const BUFFERS = 64;
const GROUP = 1;
/** `struct io_uring_buf`: address, length, number. The ring's tail stands in the padding of the first. */
const ENTRY_WORDS = 4;
const TAIL_HALFWORD = 7;
const REGISTER_BUFFER_RING = 22;
/** The kernel brings the memory of the ring itself, to be mapped from here (IOU_PBUF_RING_MMAP). */
const KERNEL_MEMORY = 1 << 16;
const MAPPED_FROM = 0x8000_0000 + GROUP * 0x1_0000;

/**
 * The memory that the kernel receives into, for all connections of a shard (io_uring_register_buf_ring(3)): an idle
 * connection holds none of it. The kernel takes a buffer when there is something to put in, and gets it back when the
 * last who uses it has released it. Nobody holds one for longer than a turn or two: what waits for a slow peer is copied.
 */
export class Buffers {
  readonly group = GROUP;
  readonly #calls: RingCalls;
  readonly #memory: Memory;
  /** What the memory is a part of, and where it begins there. */
  readonly #store: ArrayBufferLike;
  readonly #base: number;
  readonly #ring: Int32Array;
  readonly #halfwords: Uint16Array;
  readonly #users = new Int32Array(BUFFERS);
  #tail = 0;

  /** Throws a system error where the kernel refuses. */
  constructor(calls: RingCalls, ring: Ring, onMapped: (mapping: Mapping) => void) {
    this.#calls = calls;
    this.#memory = calls.allocate(BUFFERS * BUFFER_OCTETS);
    this.#store = this.#memory.bytes.buffer;
    this.#base = this.#memory.bytes.byteOffset;
    const registration = calls.allocate(40); // struct io_uring_buf_reg
    registration.words[2] = BUFFERS;
    registration.words[3] = GROUP | KERNEL_MEMORY;
    const registered = calls.register(ring.descriptor, REGISTER_BUFFER_RING, registration, 1);
    if (registered < 0) throw systemError('io_uring_register', registered, 'for a shard');
    const mapping = calls.map(ring.descriptor, MAPPED_FROM, BUFFERS * ENTRY_WORDS * 4);
    if (mapping === undefined) throw new Error('mmap: the ring of buffers cannot be had');
    onMapped(mapping);
    const { words } = mapping;
    this.#ring = words;
    this.#halfwords = new Uint16Array(words.buffer, words.byteOffset, words.length * 2);
    for (let buffer = 0; buffer < BUFFERS; buffer++) this.#give(buffer);
  }

  /** A completion has brought this buffer; it is the caller's until released. */
  taken(buffer: number): void {
    this.#users[buffer] = 1;
  }

  /** One more uses it. */
  hold(buffer: number): void {
    this.#users[buffer] = (this.#users[buffer] as number) + 1;
  }

  release(buffer: number): void {
    const users = (this.#users[buffer] as number) - 1;
    this.#users[buffer] = users;
    if (users === 0) this.#give(buffer);
  }

  view(buffer: number, from: number, to: number): Uint8Array {
    // Made by hand: `subarray` of a Buffer goes a long way round.
    return new Uint8Array(this.#store, this.#base + buffer * BUFFER_OCTETS + from, to - from);
  }

  /** The buffer that these bytes are in, or -1 where they are elsewhere. */
  bufferOf(bytes: Uint8Array): number {
    if (bytes.buffer !== this.#store) return -1;
    return Math.floor((bytes.byteOffset - this.#base) / BUFFER_OCTETS);
  }

  /** Where in its buffer it begins; only for bytes that are in one. */
  offsetOf(bytes: Uint8Array): number {
    return (bytes.byteOffset - this.#base) % BUFFER_OCTETS;
  }

  addressOf(buffer: number, offset: number): MemoryAddress {
    return this.#calls.at(this.#memory.address, buffer * BUFFER_OCTETS + offset);
  }

  #give(buffer: number): void {
    const at = (this.#tail & (BUFFERS - 1)) * ENTRY_WORDS;
    const address = this.addressOf(buffer, 0);
    this.#ring[at] = address | 0;
    this.#ring[at + 1] = Math.floor(address / 0x1_0000_0000);
    this.#ring[at + 2] = BUFFER_OCTETS;
    this.#halfwords[at * 2 + 6] = buffer;
    this.#tail = (this.#tail + 1) & 0xffff;
    this.#halfwords[TAIL_HALFWORD] = this.#tail;
  }
}
