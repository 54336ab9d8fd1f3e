import type { KoffiFunc, LibraryHandle } from 'koffi';
import type { Address } from '../../core/address.ts';
import type { Result } from './errno.ts';
import { ARENA, EPOLL, type EventLayout, SOCKET } from './layout.ts';
import { decodeAddress } from './sockaddr.ts';

/**
 * The C library, as far as sockets need it. Every declaration of a foreign function and every raw address of the program
 * is in this file: what it hands out takes descriptors, lengths and views, and checks that they stay within the one
 * arena the kernel is ever given. A closed descriptor is -1 (see descriptor.ts), so a call that comes too late gets
 * EBADF and can reach nobody else's socket.
 *
 * No call waits but `wait`. All results are as `Result` says.
 */
export interface Libc {
  /** What `receive` has filled; overwritten by the next `receive` of any connection. */
  readonly inbox: Buffer;
  epollCreate(): Result;
  eventfd(): Result;
  /** Adds a descriptor to an epoll set; `generation` comes back with its events. */
  watch(epoll: number, descriptor: number, events: number, generation: number): Result;
  unwatch(epoll: number, descriptor: number): Result;
  /** Waits for events, at most so many milliseconds; returns how many there are. */
  wait(epoll: number, timeoutMs: number): Result;
  /** Of event `at` of the last `wait`: the events, the descriptor, the generation it was watched with. */
  eventsAt(at: number): number;
  descriptorAt(at: number): number;
  generationAt(at: number): number;
  /** A socket that never blocks and is not inherited. */
  socket(family: number): Result;
  bind(descriptor: number, address: Uint8Array): Result;
  listen(descriptor: number, backlog: number): Result;
  connect(descriptor: number, address: Uint8Array): Result;
  /** The next connection that waits, as its descriptor; `accepted` says whose it is. */
  accept(descriptor: number): Result;
  /** The peer of the connection that `accept` gave last; undefined where the kernel does not know. */
  accepted(): Address | undefined;
  /** The address a socket is bound to. */
  localAddress(descriptor: number): Address | undefined;
  /** Receives into the inbox, at most `most` octets of it; 0: the peer has closed its direction. */
  receive(descriptor: number, most: number): Result;
  /** Sends octets that are in the inbox. */
  sendInbox(descriptor: number, from: number, length: number): Result;
  /** Sends octets from anywhere, also from the inbox. Small ones are copied first: cheaper than being passed. */
  send(descriptor: number, bytes: Uint8Array): Result;
  /** Closes our direction. */
  shutdown(descriptor: number): Result;
  close(descriptor: number): Result;
  setOption(descriptor: number, level: number, option: number, value: number): Result;
  /** The next `close` sends RST. */
  setAbortive(descriptor: number): Result;
  /** Takes the error that a socket holds, as a result; 0 where it holds none. */
  takeError(descriptor: number): Result;
  /** Octets the kernel would take for a socket just now, about; below one: none. */
  room(descriptor: number): Result;
  setNonBlocking(descriptor: number): Result;
  /** Another descriptor for the same socket. */
  duplicate(descriptor: number): Result;
  /** A pipe that never blocks, asked to hold so many octets. */
  pipe(octets: number): { readonly out: number; readonly into: number } | Result;
  /** Moves at most so many octets from one descriptor to another, one of which is an end of a pipe (splice(2)). */
  splice(from: number, to: number, most: number): Result;
  /** Reads from a pipe into the inbox, at most `most` octets of it. */
  readPipe(descriptor: number, most: number): Result;
  /** Resets an eventfd's count to zero. */
  drainEvent(descriptor: number): Result;
}

/** A place in memory that the kernel may be told of. Only this file makes them. */
export type MemoryAddress = number & { readonly of: 'memory' };

/** Memory at an address that does not change, and that the kernel may write to while it lives. */
export interface Memory {
  readonly address: MemoryAddress;
  readonly bytes: Buffer;
  /** The same, as 32-bit words. */
  readonly words: Int32Array;
}

/** What io_uring needs beside the calls of `Libc`: its own three, and memory that is shared with the kernel. */
export interface RingCalls {
  allocate(octets: number): Memory;
  /** Where these bytes are. They must be kept until the kernel has done with them. */
  addressOf(bytes: Uint8Array): MemoryAddress;
  at(memory: MemoryAddress, offset: number): MemoryAddress;
  setup(entries: number, params: Memory): Result;
  enter(
    ring: number,
    submit: number,
    complete: number,
    flags: number,
    argument: Memory,
    octets: number,
  ): Result;
  register(ring: number, operation: number, argument: Memory, count: number): Result;
  /** A part of the ring's memory; undefined where the kernel refuses. It keeps the ring alive until it is given back. */
  map(ring: number, offset: number, octets: number): Mapping | undefined;
  /** Gives mapped memory back: from then on nobody may look at it. */
  unmap(address: MemoryAddress, octets: number): void;
}

/** Memory that the kernel shares, as 32-bit words. */
export interface Mapping {
  readonly words: Int32Array;
  readonly address: MemoryAddress;
  readonly octets: number;
}

export interface LibcOptions {
  readonly library: LibraryHandle;
  /** The octets' address in memory: taken once, for the arena. */
  readonly addressOf: (bytes: Uint8Array) => bigint;
  readonly errno: () => number;
  readonly layout: EventLayout;
}

type Call<A extends number[]> = KoffiFunc<(...args: A) => number>;

/** Octets of `struct linger`: two ints. */
const LINGER_OCTETS = 8;
const INT_OCTETS = 4;

/** Binds the functions; throws what koffi throws where the library lacks one. */
export function bindLibc({ library, addressOf, errno, layout }: LibcOptions): Libc {
  const bound = <A extends number[]>(name: string, ...args: readonly string[]): Call<A> =>
    library.func(name, 'int', [...args]) as Call<A>;
  const epollCreate = bound<[number]>('epoll_create1', 'int');
  const epollControl = bound<[number, number, number, number]>('epoll_ctl', 'int', 'int', 'int', 'uintptr_t');
  const epollWait = bound<[number, number, number, number]>('epoll_wait', 'int', 'uintptr_t', 'int', 'int');
  const eventfd = bound<[number, number]>('eventfd', 'uint', 'int');
  const socket = bound<[number, number, number]>('socket', 'int', 'int', 'int');
  const bind = bound<[number, number, number]>('bind', 'int', 'uintptr_t', 'uint');
  const listen = bound<[number, number]>('listen', 'int', 'int');
  const connect = bound<[number, number, number]>('connect', 'int', 'uintptr_t', 'uint');
  const accept = bound<[number, number, number, number]>('accept4', 'int', 'uintptr_t', 'uintptr_t', 'int');
  const getName = bound<[number, number, number]>('getsockname', 'int', 'uintptr_t', 'uintptr_t');
  const getOption = bound<[number, number, number, number, number]>(
    'getsockopt',
    'int',
    'int',
    'int',
    'uintptr_t',
    'uintptr_t',
  );
  const setOption = bound<[number, number, number, number, number]>(
    'setsockopt',
    'int',
    'int',
    'int',
    'uintptr_t',
    'uint',
  );
  // ssize_t fits an int here: nothing moves more than the inbox at a time.
  const receive = bound<[number, number, number, number]>('recv', 'int', 'uintptr_t', 'size_t', 'int');
  const send = bound<[number, number, number, number]>('send', 'int', 'uintptr_t', 'size_t', 'int');
  const sendFrom = library.func('send', 'int', ['int', 'const void *', 'size_t', 'int']) as KoffiFunc<
    (descriptor: number, bytes: Uint8Array, length: number, flags: number) => number
  >;
  const shutdown = bound<[number, number]>('shutdown', 'int', 'int');
  const close = bound<[number]>('close', 'int');
  // They take variable arguments in C; on Linux these are passed as any others.
  const fileControl = bound<[number, number, number]>('fcntl', 'int', 'int', 'int');
  const control = bound<[number, number, number]>('ioctl', 'int', 'ulong', 'uintptr_t');
  const read = bound<[number, number, number]>('read', 'int', 'uintptr_t', 'size_t');

  const pipe = bound<[number, number]>('pipe2', 'uintptr_t', 'int');
  const splice = bound<[number, number, number, number, number, number]>(
    'splice',
    'int',
    'uintptr_t',
    'int',
    'uintptr_t',
    'size_t',
    'uint',
  );

  const arena = Buffer.allocUnsafeSlow(ARENA.OCTETS).fill(0);
  const words = new Int32Array(arena.buffer, arena.byteOffset, ARENA.OCTETS / INT_OCTETS);
  const base = Number(addressOf(arena));
  const [ADDRESS, LENGTH, CONTROL, OPTION, EVENTS, OUTBOX, INBOX] = [
    base + ARENA.ADDRESS,
    base + ARENA.LENGTH,
    base + ARENA.CONTROL,
    base + ARENA.OPTION,
    base + ARENA.EVENTS,
    base + ARENA.OUTBOX,
    base + ARENA.INBOX,
  ];
  const [lengthWord, controlWord, optionWord, eventsWord] = [
    ARENA.LENGTH / INT_OCTETS,
    ARENA.CONTROL / INT_OCTETS,
    ARENA.OPTION / INT_OCTETS,
    ARENA.EVENTS / INT_OCTETS,
  ];
  const { stride, data } = layout;

  const result = (returned: number): Result => (returned < 0 ? -errno() : returned);
  const placeAddress = (address: Uint8Array): number => {
    if (address.length > ARENA.ADDRESS_OCTETS) throw new RangeError('a socket address is too long');
    arena.set(address, ARENA.ADDRESS);
    return address.length;
  };
  const readOption = (descriptor: number, option: number, octets: number): Result => {
    words[lengthWord] = octets;
    return result(getOption(descriptor, SOCKET.SOL_SOCKET, option, OPTION, LENGTH));
  };
  const addressLength = (): number => Math.min(words[lengthWord] as number, ARENA.ADDRESS_OCTETS);

  return {
    inbox: arena.subarray(ARENA.INBOX, ARENA.INBOX + ARENA.INBOX_OCTETS),
    epollCreate: () => result(epollCreate(EPOLL.CLOEXEC)),
    eventfd: () => result(eventfd(0, SOCKET.NONBLOCK | SOCKET.CLOEXEC)),
    watch(epoll, descriptor, events, generation) {
      words[controlWord] = events;
      words[controlWord + data] = descriptor;
      words[controlWord + data + 1] = generation;
      return result(epollControl(epoll, EPOLL.ADD, descriptor, CONTROL));
    },
    unwatch: (epoll, descriptor) => result(epollControl(epoll, EPOLL.DELETE, descriptor, CONTROL)),
    wait: (epoll, timeoutMs) => result(epollWait(epoll, EVENTS, ARENA.MAX_EVENTS, timeoutMs)),
    eventsAt: at => words[eventsWord + at * stride] as number,
    descriptorAt: at => words[eventsWord + at * stride + data] as number,
    generationAt: at => words[eventsWord + at * stride + data + 1] as number,
    socket: family => result(socket(family, SOCKET.STREAM | SOCKET.NONBLOCK | SOCKET.CLOEXEC, 0)),
    bind: (descriptor, address) => result(bind(descriptor, ADDRESS, placeAddress(address))),
    listen: (descriptor, backlog) => result(listen(descriptor, backlog)),
    connect: (descriptor, address) => result(connect(descriptor, ADDRESS, placeAddress(address))),
    accept(descriptor) {
      words[lengthWord] = ARENA.ADDRESS_OCTETS;
      arena[ARENA.ADDRESS] = 0;
      return result(accept(descriptor, ADDRESS, LENGTH, SOCKET.NONBLOCK | SOCKET.CLOEXEC));
    },
    accepted: () => decodeAddress(arena, ARENA.ADDRESS, addressLength()),
    localAddress(descriptor) {
      words[lengthWord] = ARENA.ADDRESS_OCTETS;
      if (getName(descriptor, ADDRESS, LENGTH) < 0) return undefined;
      return decodeAddress(arena, ARENA.ADDRESS, addressLength());
    },
    receive(descriptor, most) {
      if (most > ARENA.INBOX_OCTETS) throw new RangeError('more than the inbox holds');
      return result(receive(descriptor, INBOX, most, 0));
    },
    sendInbox(descriptor, from, length) {
      if (from < 0 || length < 0 || from + length > ARENA.INBOX_OCTETS)
        throw new RangeError('not in the inbox');
      return result(send(descriptor, INBOX + from, length, SOCKET.NOSIGNAL));
    },
    send(descriptor, bytes) {
      const { length } = bytes;
      if (bytes.buffer === arena.buffer) {
        return result(send(descriptor, base + bytes.byteOffset - arena.byteOffset, length, SOCKET.NOSIGNAL));
      }
      if (length > ARENA.OUTBOX_OCTETS) return result(sendFrom(descriptor, bytes, length, SOCKET.NOSIGNAL));
      arena.set(bytes, ARENA.OUTBOX);
      return result(send(descriptor, OUTBOX, length, SOCKET.NOSIGNAL));
    },
    shutdown: descriptor => result(shutdown(descriptor, SOCKET.SHUT_WR)),
    close: descriptor => result(close(descriptor)),
    setOption(descriptor, level, option, value) {
      words[optionWord] = value;
      return result(setOption(descriptor, level, option, OPTION, INT_OCTETS));
    },
    setAbortive(descriptor) {
      words[optionWord] = 1;
      words[optionWord + 1] = 0;
      return result(setOption(descriptor, SOCKET.SOL_SOCKET, SOCKET.LINGER, OPTION, LINGER_OCTETS));
    },
    takeError(descriptor) {
      const read = readOption(descriptor, SOCKET.ERROR, INT_OCTETS);
      return read < 0 ? read : -(words[optionWord] as number);
    },
    room(descriptor) {
      const { OPTION: option, OCTETS, LIMIT, QUEUED, UNIX_QUEUED } = SOCKET.MEMORY;
      const read = readOption(descriptor, option, OCTETS);
      if (read < 0) return read;
      const at = (word: number): number => words[optionWord + word] as number;
      return at(LIMIT) - Math.max(at(QUEUED), at(UNIX_QUEUED));
    },
    setNonBlocking(descriptor) {
      words[optionWord] = 1;
      return result(control(descriptor, SOCKET.FIONBIO, OPTION));
    },
    duplicate: descriptor => result(fileControl(descriptor, SOCKET.DUPLICATE_CLOEXEC, 0)),
    pipe(octets) {
      const made = pipe(OPTION, SOCKET.NONBLOCK | SOCKET.CLOEXEC);
      if (made < 0) return -errno();
      const [out, into] = [words[optionWord] as number, words[optionWord + 1] as number];
      fileControl(into, SOCKET.SET_PIPE_OCTETS, octets);
      return { out, into };
    },
    splice: (from, to, most) => result(splice(from, 0, to, 0, most, SOCKET.SPLICE)),
    readPipe: (descriptor, most) => result(read(descriptor, INBOX, Math.min(most, ARENA.INBOX_OCTETS))),
    drainEvent: descriptor => result(read(descriptor, OPTION, 8)),
  };
}

export interface RingOptions extends Omit<LibcOptions, 'layout'> {
  /** The memory at an address that `mmap` gave. */
  readonly view: (address: bigint, octets: number) => ArrayBuffer;
}

/** System calls have the same numbers on all of Linux's newer processors. */
const RING = {
  SETUP: 425,
  ENTER: 426,
  REGISTER: 427,
  MAP: { READ_WRITE: 3, SHARED_POPULATED: 0x8001 },
} as const;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

/** Binds what io_uring needs; throws what koffi throws where the library lacks it. */
export function bindRing({ library, addressOf, errno, view }: RingOptions): RingCalls {
  const words = (count: number): string[] => Array.from({ length: count }, () => 'uintptr_t');
  const syscall = library.func('syscall', 'long', ['long', ...words(6)]) as Call<
    [number, number, number, number, number, number, number]
  >;
  const map = library.func('mmap', 'uintptr_t', [
    ...['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t'],
  ]) as KoffiFunc<(...args: number[]) => number | bigint>;
  const unmap = library.func('munmap', 'int', ['uintptr_t', 'size_t']) as Call<[number, number]>;
  const result = (returned: number): Result => (returned < 0 ? -errno() : returned);
  const place = (bytes: Uint8Array): MemoryAddress => Number(addressOf(bytes)) as MemoryAddress;
  return {
    allocate(octets) {
      // Memory of its own, of which the system gives only what is touched.
      const bytes = Buffer.alloc((octets + 7) & ~7);
      return {
        address: place(bytes),
        bytes,
        words: new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / INT_OCTETS),
      };
    },
    addressOf: place,
    at: (memory, offset) => (memory + offset) as MemoryAddress,
    setup: (entries, params) => result(syscall(RING.SETUP, entries, params.address, 0, 0, 0, 0)),
    enter: (ring, submit, complete, flags, argument, octets) =>
      result(syscall(RING.ENTER, ring, submit, complete, flags, argument.address, octets)),
    register: (ring, operation, argument, count) =>
      result(syscall(RING.REGISTER, ring, operation, argument.address, count, 0, 0)),
    map(ring, offset, octets) {
      const { READ_WRITE, SHARED_POPULATED } = RING.MAP;
      const mapped = BigInt(map(0, octets, READ_WRITE, SHARED_POPULATED, ring, offset));
      if (mapped === MAP_FAILED) return undefined;
      const address = Number(mapped) as MemoryAddress;
      return { words: new Int32Array(view(mapped, octets)), address, octets };
    },
    unmap: (address, octets) => void unmap(address, octets),
  };
}
