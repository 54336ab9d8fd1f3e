import type { EpollOptions } from '../epoll/transport.ts';
import { closeAbandoned, openDescriptorRecord, unmapAbandoned } from '../linux/descriptor.ts';
import { cannotBeUsed, HERE, loadForeign, type Machine } from '../linux/foreign.ts';
import { bindLibc, bindRing } from '../linux/libc.ts';
import { createUringTransport, type UringTransport } from './transport.ts';

/** Makes one transport, for the thread that calls it. Throws a system error where the kernel refuses. */
export type UringFactory = (
  onHandlerError: (error: unknown) => void,
  options?: EpollOptions,
) => UringTransport;

/** What became of the attempt to load: a factory, or a sentence for the operator that says why there is none. */
export type Loaded =
  | { readonly create: UringFactory; readonly reason?: never }
  | { readonly create?: never; readonly reason: string };

/**
 * Tries all that the io_uring transport needs, the kernel included (6.4 or later, and not forbidden by
 * `kernel.io_uring_disabled` or a sandbox), and never rejects. Each thread that is to have a transport calls it for itself.
 */
export async function loadUring(machine: Machine = HERE): Promise<Loaded> {
  const foreign = await loadForeign(machine);
  if (typeof foreign === 'string') return { reason: `the io_uring transport ${foreign}` };
  const create: UringFactory = (onHandlerError, options) =>
    createUringTransport(bindLibc(foreign), bindRing(foreign), onHandlerError, options);
  const descriptorRecord = openDescriptorRecord();
  try {
    create(() => {}, { descriptorRecord });
    return { create };
  } catch (error) {
    return { reason: `the io_uring transport ${cannotBeUsed(error)}` };
  } finally {
    unmapAbandoned(descriptorRecord, bindRing(foreign).unmap);
    closeAbandoned(descriptorRecord, bindLibc(foreign).close);
  }
}
