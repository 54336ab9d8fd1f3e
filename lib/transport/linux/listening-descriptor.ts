import type { Address } from '../../core/address.ts';
import type { ListenOptions } from '../contract.ts';
import { claimPath } from '../unix-path.ts';
import { systemError } from './errno.ts';
import { SOCKET } from './layout.ts';
import type { Libc } from './libc.ts';
import { encodeAddress, familyOf } from './sockaddr.ts';
import { setKeepAlive, setNoDelay, type TcpOptions } from './tcp-options.ts';

/** A socket that listens at the address: the one that was inherited, or a new one. Rejects with a system error. */
export async function listeningDescriptor(
  libc: Libc,
  address: Address,
  options: ListenOptions,
  tcp: TcpOptions,
): Promise<number> {
  const { backlog, inherited } = options;
  if (inherited === undefined) {
    return address.family === 'unix'
      ? claimPath(address.path, name => bound(libc, { family: 'unix', path: name }, options, tcp))
      : bound(libc, address, options, tcp);
  }
  const about = JSON.stringify(address);
  if (address.family !== 'unix') setForAccepted(libc, inherited, tcp);
  must(libc, inherited, 'ioctl', libc.setNonBlocking(inherited), about);
  must(libc, inherited, 'listen', libc.listen(inherited, backlog), about);
  return inherited;
}

/** A new socket that listens there. */
function bound(libc: Libc, address: Address, { backlog, shared }: ListenOptions, tcp: TcpOptions): number {
  const about = address.family === 'unix' ? address.path : `${address.host} port ${address.port}`;
  const octets = encodeAddress(address);
  if (octets === undefined)
    throw Object.assign(new Error(`bind ENAMETOOLONG ${about}`), { code: 'ENAMETOOLONG' });
  const descriptor = libc.socket(familyOf(address));
  if (descriptor < 0) throw systemError('socket', descriptor, about);
  if (address.family !== 'unix') {
    libc.setOption(descriptor, SOCKET.SOL_SOCKET, SOCKET.REUSEADDR, 1);
    // `0.0.0.0:25` and `[::]:25` stand beside each other in a configuration: each is its own family only.
    if (address.family === 'ipv6')
      must(
        libc,
        descriptor,
        'setsockopt',
        libc.setOption(descriptor, SOCKET.SOL_IPV6, SOCKET.IPV6_V6ONLY, 1),
        about,
      );
    if (shared === true)
      must(
        libc,
        descriptor,
        'setsockopt',
        libc.setOption(descriptor, SOCKET.SOL_SOCKET, SOCKET.REUSEPORT, 1),
        about,
      );
    setForAccepted(libc, descriptor, tcp);
  }
  must(libc, descriptor, 'bind', libc.bind(descriptor, octets), about);
  must(libc, descriptor, 'listen', libc.listen(descriptor, backlog), about);
  return descriptor;
}

/** What is accepted has the options of the socket it was accepted from: no call for each connection. */
function setForAccepted(libc: Libc, descriptor: number, tcp: TcpOptions): void {
  setNoDelay(libc, descriptor);
  setKeepAlive(libc, descriptor, tcp);
}

/** A step without which there is no listening: on failure the descriptor is closed, and the error thrown. */
function must(libc: Libc, descriptor: number, syscall: string, result: number, about: string): void {
  if (result >= 0) return;
  libc.close(descriptor);
  throw systemError(syscall, result, about);
}
