import { systemError } from './errno.ts';
import { HERE, loadForeign, type Machine } from './foreign.ts';
import { bindLibc, bindRing, type MemoryAddress } from './libc.ts';

/** What a thread can do with descriptors and memory of the others: those outlive the thread that made them. */
export interface Custodian {
  /** Another descriptor of the same socket. Throws a system error. */
  duplicate(descriptor: number): number;
  /** Gives mapped memory back. Only where nobody can look at it any more. */
  unmap(address: MemoryAddress, octets: number): void;
}

/** Null where the C library cannot be called. Never rejects. */
export async function loadCustodian(machine: Machine = HERE): Promise<Custodian | null> {
  const foreign = await loadForeign(machine);
  if (typeof foreign === 'string') return null;
  const [libc, ring] = [bindLibc(foreign), bindRing(foreign)];
  return {
    duplicate(descriptor) {
      const copy = libc.duplicate(descriptor);
      if (copy < 0) throw systemError('fcntl', copy, `descriptor ${descriptor}`);
      return copy;
    },
    unmap: ring.unmap,
  };
}
