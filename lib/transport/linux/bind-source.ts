import type { CloseReason, DialOptions } from '../contract.ts';
import { dialReason, NOT_PERMITTED } from './errno.ts';
import { SOCKET } from './layout.ts';
import type { Libc } from './libc.ts';
import { encodeAddress } from './sockaddr.ts';

/** Where a connection is to come from, said before it is dialled; the reason where the kernel refuses. */
export function bindSource(
  libc: Libc,
  descriptor: number,
  options: DialOptions | undefined,
): CloseReason | null {
  if (options?.source === undefined) return null;
  const { source, transparent } = options;
  if (transparent === true) {
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
