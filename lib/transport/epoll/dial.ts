import type { Address } from '../../core/address.ts';
import type { CloseReason, ConnectionHandler, DialOptions } from '../contract.ts';
import { bindSource } from '../linux/bind-source.ts';
import { dialReason, IN_PROGRESS } from '../linux/errno.ts';
import { encodeAddress, familyOf } from '../linux/sockaddr.ts';
import { setNoDelay } from '../linux/tcp-options.ts';
import { EpollConnection, IS, WATCHED } from './connection.ts';
import type { Loop } from './loop.ts';

/** Backends are dialled again and again, and their addresses never change. */
const encoded = new WeakMap<Address, Uint8Array>();

/** See `Transport.connect`: whatever comes of it is told later, by the loop. */
export function dial(
  loop: Loop,
  address: Address,
  handler: ConnectionHandler,
  options: DialOptions | undefined,
): EpollConnection {
  const connection = new EpollConnection(loop, address, handler, IS.CONNECTING);
  const failure = begin(loop, connection, options);
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
): CloseReason | null {
  const { libc, table } = loop;
  const { remote } = connection;
  const octets = encoded.get(remote) ?? encodeAddress(remote);
  if (octets === undefined) return 'failed'; // a path longer than any socket's
  encoded.set(remote, octets);
  const descriptor = libc.socket(familyOf(remote));
  if (descriptor < 0) return dialReason(descriptor);
  table.adopt(connection, descriptor);
  if (remote.family !== 'unix') setNoDelay(libc, descriptor);
  const refused = bindSource(libc, descriptor, options);
  if (refused !== null) return refused;
  const begun = libc.connect(descriptor, octets);
  if (begun < 0 && begun !== IN_PROGRESS) return dialReason(begun);
  // Watched only now: a socket that nobody has begun to connect counts as hung up.
  return loop.rewatch(connection, WATCHED) < 0 ? 'failed' : null;
}
