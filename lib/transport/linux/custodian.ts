import { systemError } from './errno.ts';
import { HERE, loadForeign, type Machine } from './foreign.ts';
import { bindLibc, bindRing, type MemoryAddress } from './libc.ts';
import { loadReleases } from './openssl/load.ts';
import { freeAbandoned } from './openssl/possessions.ts';

/** What a thread can do with descriptors and memory of the others: those outlive the thread that made them. */
export interface Custodian {
  /** Another descriptor of the same socket. Throws a system error. */
  duplicate(descriptor: number): number;
  /** Gives mapped memory back. Only where nobody can look at it any more. */
  unmap(address: MemoryAddress, octets: number): void;
  /** Frees what a thread that is gone owned of OpenSSL's; see `openPossessions`. */
  freeTls(possessions: SharedArrayBuffer): void;
}

/** Null where the C library cannot be called. Never rejects. */
export async function loadCustodian(machine: Machine = HERE): Promise<Custodian | null> {
  const foreign = await loadForeign(machine);
  if (typeof foreign === 'string') return null;
  const [libc, ring] = [bindLibc(foreign), bindRing(foreign)];
  const releases = await loadReleases(machine);
  return {
    duplicate(descriptor) {
      const copy = libc.duplicate(descriptor);
      if (copy < 0) throw systemError('fcntl', copy, `descriptor ${descriptor}`);
      return copy;
    },
    unmap: ring.unmap,
    freeTls(possessions) {
      // Who cannot call OpenSSL has no thread that can.
      if (releases !== null) freeAbandoned(possessions, releases);
    },
  };
}
