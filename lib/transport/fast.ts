/** The transports that go to the kernel without Node's sockets: by name, the fastest first. */
import type { Transport } from './contract.ts';
import { loadEpoll } from './epoll/load.ts';
import { HERE } from './linux/foreign.ts';
import { loadOpenSsl } from './linux/openssl/load.ts';
import { withTls } from './secured/transport.ts';
import { loadUring } from './uring/load.ts';

export const FAST_TRANSPORTS = ['io_uring', 'epoll'] as const;
export type FastTransportName = (typeof FAST_TRANSPORTS)[number];
export type TransportName = 'net' | FastTransportName;

/** What they have in common: the thread they run in belongs to them, and hears messages when it is woken. */
export interface FastTransport extends Transport {
  /**
   * An eventfd. The thread waits in the kernel for up to a tick and hears no message meanwhile: whoever posts one
   * writes eight octets here, a count above zero.
   */
  readonly wakeDescriptor: number;
  /** Calls back within this turn or the next, and never within this call. */
  later(call: () => void): void;
  /** Begins to serve: from now on the thread belongs to the transport, and to its own event loop once a tick. */
  start(): void;
  /** Closes all that is open; nobody is told. The transport is of no use any more. */
  close(): void;
}

export interface FastTransportOptions {
  /** Where the open descriptors are recorded, for `closeAbandoned` if the thread should die. */
  readonly descriptorRecord?: SharedArrayBuffer;
}

type Factory = (onHandlerError: (error: unknown) => void, options?: FastTransportOptions) => FastTransport;

/** What became of the attempt to load one: a factory, or a sentence for the operator that says why there is none. */
export type LoadedFast =
  | {
      readonly create: Factory;
      /** Why it speaks no TLS; null where it does. */
      readonly withoutTls: string | null;
      readonly reason?: never;
    }
  | { readonly create?: never; readonly reason: string };

const LOADERS: Readonly<
  Record<
    FastTransportName,
    (shards: number) => Promise<{ readonly create?: Factory; readonly reason?: string }>
  >
> = {
  io_uring: shards => loadUring(HERE, shards),
  epoll: () => loadEpoll(),
};

/**
 * Tries all that the transport needs, the kernel included, and never rejects. For the thread that calls it. `shards`: how
 * many are to be had at the same time; 0: the kernel has been asked already. `possessions`: where is noted what it owns of
 * OpenSSL's, for the `Custodian` if the thread should die.
 */
export async function loadFast(
  name: FastTransportName,
  shards = 1,
  possessions?: SharedArrayBuffer,
): Promise<LoadedFast> {
  const { create, reason = '' } = await LOADERS[name](shards);
  if (create === undefined) return { reason };
  const openssl = await loadOpenSsl(possessions);
  if (typeof openssl === 'string') return { create, withoutTls: openssl };
  return {
    create: (onHandlerError, options) => withTls(create(onHandlerError, options), openssl, onHandlerError),
    withoutTls: null,
  };
}
