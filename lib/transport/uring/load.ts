import type { EpollOptions } from '../epoll/transport.ts';
import { closeAbandoned, openDescriptorRecord, unmapAbandoned } from '../linux/descriptor.ts';
import { isOutOfMemory } from '../linux/errno.ts';
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

/** What ENOMEM mostly means: the memory of rings counts as locked, for all processes of a user together. */
const LOCKED =
  '; each shard takes half a megabyte of locked memory: raise the limit (LimitMEMLOCK= of systemd, ulimit -l)';

/**
 * Tries all that the io_uring transport needs, the kernel included (6.4 or later, and not forbidden by
 * `kernel.io_uring_disabled` or a sandbox, with memory for so many `shards`), and never rejects. Each thread that is to have
 * a transport calls it for itself.
 */
export async function loadUring(machine: Machine = HERE, shards = 1): Promise<Loaded> {
  const foreign = await loadForeign(machine);
  if (typeof foreign === 'string') return { reason: `the io_uring transport ${foreign}` };
  const create: UringFactory = (onHandlerError, options) =>
    createUringTransport(bindLibc(foreign), bindRing(foreign), onHandlerError, options);
  const records = Array.from({ length: shards }, openDescriptorRecord);
  try {
    for (const descriptorRecord of records) create(() => {}, { descriptorRecord });
    return { create };
  } catch (error) {
    const hint = isOutOfMemory(error) ? LOCKED : '';
    return { reason: `the io_uring transport ${cannotBeUsed(error)}${hint}` };
  } finally {
    for (const record of records) {
      unmapAbandoned(record, bindRing(foreign).unmap);
      closeAbandoned(record, bindLibc(foreign).close);
    }
  }
}
