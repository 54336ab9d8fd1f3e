import type { Address } from '../../core/address.ts';
import type { CloseReason, Connection, DialOptions, Transport } from '../contract.ts';
import type { EpollOptions } from '../epoll/transport.ts';
import { bindSource } from '../linux/bind-source.ts';
import { dialReason } from '../linux/errno.ts';
import type { Libc, Memory, RingCalls } from '../linux/libc.ts';
import { encodeAddress, familyOf } from '../linux/sockaddr.ts';
import { setNoDelay, TCP_DEFAULTS } from '../linux/tcp-options.ts';
import { UringConnection } from './connection.ts';
import { listenOn } from './listener.ts';
import { Loop } from './loop.ts';
import { UringRelay } from './relay.ts';
import type { Shared } from './shared.ts';

/** Linux's sockets by io_uring: what is to be done is handed over in one system call a turn. Used as the epoll one. */
export interface UringTransport extends Transport {
  readonly wakeDescriptor: number;
  /** Calls back within this turn or the next, and never within this call. */
  later(call: () => void): void;
  start(): void;
  close(): void;
}

/** `onHandlerError` is told of handlers that throw. Throws a system error where the kernel refuses. */
export function createUringTransport(
  libc: Libc,
  calls: RingCalls,
  onHandlerError: (error: unknown) => void,
  options: EpollOptions = {},
): UringTransport {
  const tcp = { ...TCP_DEFAULTS, ...options.tcp };
  const loop = new Loop(libc, calls, onHandlerError, { ...options, tcp });
  const { shared } = loop;
  return {
    name: 'io_uring',
    get wakeDescriptor() {
      return loop.wakeDescriptor;
    },
    listen: (address, listenOptions, onConnection) => listenOn(shared, address, listenOptions, onConnection),
    connect(address, handler, dialOptions) {
      const { connection, failure } = dial(shared, address, dialOptions);
      connection.handler = handler;
      if (failure !== null) connection.failLater(failure);
      return connection;
    },
    relay: (first, second, handler) => new UringRelay(own(first), own(second), handler),
    later: call => void shared.later.push({ goOn: call }),
    start: () => loop.start(),
    close: () => loop.close(),
  };
}

/** A transport is only ever given its own connections. */
function own(connection: Connection): UringConnection {
  return connection as UringConnection;
}

/** Backends are dialled again and again, and their addresses never change. Null: a path longer than any socket's. */
const encoded = new WeakMap<Address, { readonly memory: Memory; readonly octets: number } | null>();

function sockaddrOf(address: Address, calls: RingCalls) {
  let known = encoded.get(address);
  if (known === undefined) {
    const octets = encodeAddress(address);
    known = octets === undefined ? null : { memory: calls.allocate(octets.length), octets: octets.length };
    if (octets !== undefined) known?.memory.bytes.set(octets);
    encoded.set(address, known);
  }
  return known;
}

function dial(
  shared: Shared,
  address: Address,
  options: DialOptions | undefined,
): { connection: UringConnection; failure: CloseReason | null } {
  const { calls, libc } = shared;
  const descriptor = libc.socket(familyOf(address));
  const connection = new UringConnection(shared, descriptor, address, false);
  if (descriptor < 0) return { connection, failure: dialReason(descriptor) };
  if (address.family !== 'unix') setNoDelay(libc, descriptor);
  const sockaddr = sockaddrOf(address, calls);
  const failure = sockaddr === null ? 'failed' : bindSource(libc, descriptor, options);
  if (failure === null && sockaddr !== null) connection.dial(sockaddr.memory.address, sockaddr.octets);
  return { connection, failure };
}
