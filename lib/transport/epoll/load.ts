import { cannotBeUsed, HERE, loadForeign, type Machine } from '../linux/foreign.ts';
import { bindLibc } from '../linux/libc.ts';
import { createEpollTransport, type EpollOptions, type EpollTransport } from './transport.ts';

/** Makes one transport, for the thread that calls it. Throws a system error where the kernel refuses, as at EMFILE. */
export type EpollFactory = (
  onHandlerError: (error: unknown) => void,
  options?: EpollOptions,
) => EpollTransport;

/** What became of the attempt to load: a factory, or a sentence for the operator that says why there is none. */
export type Loaded =
  | { readonly create: EpollFactory; readonly reason?: never }
  | { readonly create?: never; readonly reason: string };

/**
 * Tries all that the epoll transport needs, the kernel included, and never rejects. Each thread that is to have a
 * transport calls it for itself.
 */
export async function loadEpoll(machine: Machine = HERE): Promise<Loaded> {
  const foreign = await loadForeign(machine);
  if (typeof foreign === 'string') return { reason: `the epoll transport ${foreign}` };
  try {
    const libc = bindLibc(foreign);
    // A sandbox may forbid what the kernel could do.
    createEpollTransport(libc, () => {}).close();
    return {
      // Each has an arena of its own.
      create: (onHandlerError, options) => createEpollTransport(bindLibc(foreign), onHandlerError, options),
    };
  } catch (error) {
    return { reason: `the epoll transport ${cannotBeUsed(error)}` };
  }
}
