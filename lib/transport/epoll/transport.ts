import type { Connection, Transport } from '../contract.ts';
import type { Libc } from '../linux/libc.ts';
import { TCP_DEFAULTS, type TcpOptions } from '../linux/tcp-options.ts';
import type { EpollConnection } from './connection.ts';
import { dial } from './dial.ts';
import { listenOn } from './listener.ts';
import { Loop } from './loop.ts';
import { EpollRelay } from './relay.ts';

/** Linux's sockets without a layer between. It blocks its thread in the kernel: give it one of its own. */
export interface EpollTransport extends Transport {
  readonly name: 'epoll';
  /**
   * An eventfd. The thread waits in the kernel for up to a tick and hears no message meanwhile: whoever posts one
   * writes eight octets here, a count above zero (`fs.writeSync(wakeDescriptor, new BigUint64Array([1n]))`).
   */
  readonly wakeDescriptor: number;
  /** Calls back within this turn or the next, and never within this call. */
  later(call: () => void): void;
  /** Begins to serve: from now on the thread belongs to the transport, and to its own event loop once a tick. */
  start(): void;
  /** Closes all that is open; nobody is told. The transport is of no use any more. */
  close(): void;
}

export interface EpollOptions {
  readonly tcp?: Partial<TcpOptions>;
  /**
   * Milliseconds of the longest wait in the kernel; a tick (TICK_MS) unless given. Below a tick, each wait is followed
   * by a round of the thread's own event loop: for a thread that has other sockets to serve as well.
   */
  readonly longestWaitMs?: number;
  /** Where the open descriptors are recorded, for `closeAbandoned` if the thread should die. */
  readonly descriptorRecord?: SharedArrayBuffer;
}

/**
 * `onHandlerError` is told of handlers that throw: a fault of ours, which ends one session. Throws a system error where
 * the kernel refuses. See load.ts for the way to a `Libc`.
 */
export function createEpollTransport(
  libc: Libc,
  onHandlerError: (error: unknown) => void,
  options: EpollOptions = {},
): EpollTransport {
  const tcp = { ...TCP_DEFAULTS, ...options.tcp };
  const { longestWaitMs, descriptorRecord } = options;
  const loop = new Loop({ libc, onError: onHandlerError, longestWaitMs, descriptorRecord, tcp });
  return {
    name: 'epoll',
    get wakeDescriptor() {
      return loop.wakeDescriptor;
    },
    listen: (address, listenOptions, onConnection) => listenOn(loop, address, listenOptions, onConnection),
    connect: (address, handler, dialOptions) => dial(loop, address, handler, dialOptions),
    relay: (first, second, handler) => new EpollRelay(own(first), own(second), handler, loop),
    later: call => loop.enqueue({ queued: false, advance: call, onFault() {} }),
    start: () => loop.start(),
    close: () => loop.close(),
  };
}

/** A transport is only ever given its own connections. */
function own(connection: Connection): EpollConnection {
  return connection as EpollConnection;
}
