import type { Libc, MemoryAddress } from './libc.ts';

/** What a descriptor is once its owner has closed it, or before it has one: the kernel answers EBADF. */
export const CLOSED = -1;

/** Whoever holds one descriptor. */
export interface DescriptorHolder {
  /** The table's to write: the descriptor, or CLOSED. */
  descriptor: number;
  /** The table's to write: which use of that number this is. */
  generation: number;
}

/** Whoever holds one descriptor and hears what epoll tells of it. */
export interface DescriptorOwner extends DescriptorHolder {
  /** Told by the loop. May close any descriptor, its own among them. */
  onEvents(events: number): void;
  /** `onEvents` threw, which is a fault of the transport itself: ends what it stands for, in words if it can. */
  onFault(): void;
}

/**
 * Who owns which descriptor. Numbers are used again as soon as they are closed, within one batch of events even: an
 * event counts only if the generation that came with it is the owner's. Each descriptor is closed through here, once.
 */
export interface DescriptorTable<Owner extends DescriptorHolder = DescriptorOwner> {
  /** Makes `owner` the one owner of a descriptor just made. */
  adopt(owner: Owner, descriptor: number): void;
  /** Who an event is for; undefined where its descriptor has been closed since. */
  ownerOf(descriptor: number, generation: number): Owner | undefined;
  /** Closes what `owner` holds, if it still holds it. */
  close(owner: Owner): void;
  /** Closes everything that is left. */
  closeAll(): void;
  readonly open: number;
}

/** Descriptors that the shared record of open ones has room for. */
const RECORDED = 1_048_576;
const BITS = 32;

/** Pieces of mapped memory that the record has room for, each with an address and a size, behind the descriptors. */
const MAPPINGS = 8;

/** Memory for the record of a shard's open descriptors and mapped memory; see `closeAbandoned`. */
export function openDescriptorRecord(): SharedArrayBuffer {
  return new SharedArrayBuffer(RECORDED / 8 + MAPPINGS * 2 * Float64Array.BYTES_PER_ELEMENT);
}

/** Notes mapped memory: a ring lives, and what waits in it, for as long as its memory is mapped. */
export function noteMapping(record: SharedArrayBuffer, address: MemoryAddress, octets: number): void {
  const mappings = new Float64Array(record, RECORDED / 8);
  const free = mappings.findIndex((value, at) => at % 2 === 0 && value === 0);
  if (free < 0) throw new Error('there is no room for another mapping');
  mappings[free] = address;
  mappings[free + 1] = octets;
}

/** Gives the noted memory back, through `unmap`. Only where nobody can look at it any more. */
export function unmapAbandoned(
  record: SharedArrayBuffer,
  unmap: (address: MemoryAddress, octets: number) => void,
): void {
  const mappings = new Float64Array(record, RECORDED / 8);
  for (let at = 0; at < mappings.length; at += 2) {
    if (mappings[at] !== 0) unmap(mappings[at] as MemoryAddress, mappings[at + 1] as number);
  }
  mappings.fill(0);
}

/**
 * `record`: which descriptors are open, told to other threads as well. A thread that dies takes its memory along but not
 * its descriptors: its listening sockets would go on being given connections that nobody accepts.
 */
export function createDescriptorTable<Owner extends DescriptorHolder = DescriptorOwner>(
  libc: Libc,
  record: SharedArrayBuffer,
): DescriptorTable<Owner> {
  const owners: (Owner | undefined)[] = [];
  const bits = new Int32Array(record, 0, RECORDED / BITS);
  let generation = 0;
  let open = 0;

  const mark = (descriptor: number, isOpen: boolean): void => {
    const word = Math.floor(descriptor / BITS);
    const bit = 1 << (descriptor % BITS);
    if (word < bits.length)
      bits[word] = isOpen ? (bits[word] as number) | bit : (bits[word] as number) & ~bit;
  };
  const table: DescriptorTable<Owner> = {
    adopt(owner, descriptor) {
      if (owner.descriptor !== CLOSED) throw new Error('it owns a descriptor already');
      // Somebody has closed it behind this table's back, or the kernel would not give it out again.
      if (owners[descriptor] !== undefined) throw new Error(`descriptor ${descriptor} has an owner already`);
      generation = (generation + 1) | 0;
      owner.descriptor = descriptor;
      owner.generation = generation;
      owners[descriptor] = owner;
      mark(descriptor, true);
      open++;
    },
    ownerOf(descriptor, atGeneration) {
      const owner = owners[descriptor];
      return owner !== undefined && owner.generation === atGeneration ? owner : undefined;
    },
    close(owner) {
      const { descriptor } = owner;
      if (descriptor === CLOSED) return;
      if (owners[descriptor] !== owner) throw new Error(`descriptor ${descriptor} is another's`);
      owners[descriptor] = undefined;
      owner.descriptor = CLOSED;
      mark(descriptor, false);
      open--;
      // Whatever close says (EINTR among it), Linux has given the number back: never twice.
      libc.close(descriptor);
    },
    closeAll() {
      for (const owner of owners) if (owner !== undefined) table.close(owner);
    },
    get open() {
      return open;
    },
  };
  return table;
}

/**
 * Closes what a thread that is gone had open, through `close`, but for those in `kept`, and empties its record. Never
 * while that thread runs. Returns how many it closed.
 */
export function closeAbandoned(
  record: SharedArrayBuffer,
  close: (descriptor: number) => void,
  kept: ReadonlySet<number> = new Set(),
): number {
  const bits = new Int32Array(record, 0, RECORDED / BITS);
  let closed = 0;
  for (const [word, value] of bits.entries()) {
    for (let rest = value; rest !== 0; rest &= rest - 1) {
      const descriptor = word * BITS + (31 - Math.clz32(rest & -rest));
      if (kept.has(descriptor)) continue;
      close(descriptor);
      closed++;
    }
    bits[word] = 0;
  }
  return closed;
}
