import type { Address, IpAddress } from '../../core/address.ts';
import type { CloseReason, ConnectionHandler, DialOptions } from '../contract.ts';
import { EpollConnection, IS, WATCHED } from './connection.ts';
import { dialReason, IN_PROGRESS, NOT_PERMITTED } from './errno.ts';
import { SOCKET } from './layout.ts';
import type { Libc } from './libc.ts';
import type { Loop } from './loop.ts';
import { encodeAddress, familyOf } from './sockaddr.ts';
import { setTcpOptions, type TcpOptions } from './tcp-options.ts';

/** Backends are dialled again and again, and their addresses never change. */
const encoded = new WeakMap<Address, Uint8Array>();

/** See `Transport.connect`: whatever comes of it is told later, by the loop. */
export function dial(
  loop: Loop,
  address: Address,
  handler: ConnectionHandler,
  options: DialOptions | undefined,
  tcp: TcpOptions,
): EpollConnection {
  const connection = new EpollConnection(loop, address, handler, IS.CONNECTING);
  const failure = begin(loop, connection, options, tcp);
  if (failure !== null) {
    loop.table.close(connection);
    loop.enqueue({ queued: false, advance: () => connection.over(failure), onFault() {} });
  }
  return connection;
}

/** Null where the kernel has taken it on. */
function begin(
  loop: Loop,
  connection: EpollConnection,
  options: DialOptions | undefined,
  tcp: TcpOptions,
): CloseReason | null {
  const { libc, table } = loop;
  const { remote } = connection;
  const octets = encoded.get(remote) ?? encodeAddress(remote);
  if (octets === undefined) return 'failed'; // a path longer than any socket's
  encoded.set(remote, octets);
  const descriptor = libc.socket(familyOf(remote));
  if (descriptor < 0) return dialReason(descriptor);
  table.adopt(connection, descriptor);
  if (remote.family !== 'unix') setTcpOptions(libc, descriptor, tcp);
  if (options?.source !== undefined) {
    const refused = bindSource(libc, descriptor, options.source, options.transparent === true);
    if (refused !== null) return refused;
  }
  const begun = libc.connect(descriptor, octets);
  if (begun < 0 && begun !== IN_PROGRESS) return dialReason(begun);
  // Watched only now: a socket that nobody has begun to connect counts as hung up.
  return loop.rewatch(connection, WATCHED) < 0 ? 'failed' : null;
}

function bindSource(
  libc: Libc,
  descriptor: number,
  source: IpAddress,
  transparent: boolean,
): CloseReason | null {
  if (transparent) {
    const allowed =
      source.family === 'ipv4'
        ? libc.setOption(descriptor, SOCKET.SOL_IP, SOCKET.IP_TRANSPARENT, 1)
        : libc.setOption(descriptor, SOCKET.SOL_IPV6, SOCKET.IPV6_TRANSPARENT, 1);
    if (allowed < 0) return allowed === NOT_PERMITTED ? 'not-permitted' : dialReason(allowed);
  }
  // The port is chosen by `connect`, who knows the other end: one port serves as many backends as there are, instead of
  // being taken from all of them. A socket that is to have a certain port needs no such choice.
  if (source.port === 0) libc.setOption(descriptor, SOCKET.SOL_IP, SOCKET.IP_BIND_ADDRESS_NO_PORT, 1);
  // Connections of earlier sessions in TIME-WAIT must not keep a certain port from being used again.
  else libc.setOption(descriptor, SOCKET.SOL_SOCKET, SOCKET.REUSEADDR, 1);
  const octets = encodeAddress(source);
  if (octets === undefined) return 'failed';
  const bound = libc.bind(descriptor, octets);
  return bound < 0 ? dialReason(bound) : null;
}
