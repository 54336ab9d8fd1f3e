import type { Address } from '../../core/address.ts';
import type { Connection, Listening, ListenOptions } from '../contract.ts';
import { claimPath, releasePath } from '../unix-path.ts';
import { EpollConnection, SILENT, WATCHED } from './connection.ts';
import { CLOSED, type DescriptorOwner } from './descriptor.ts';
import { AGAIN, isOneClientsFault, systemError } from './errno.ts';
import { EPOLL, SOCKET } from './layout.ts';
import type { Loop, Ready } from './loop.ts';
import { encodeAddress, familyOf } from './sockaddr.ts';
import { setTcpOptions, type TcpOptions } from './tcp-options.ts';

/** Connections accepted in one turn: a storm of them must not keep the others from their bytes. */
const ACCEPTS = 32;

/** Told anew each time while somebody waits; one thread at a time where several watch the same socket. */
const EVENTS = EPOLL.IN | EPOLL.EXCLUSIVE;

type OnConnection = (connection: Connection) => void;

/** A listening socket, watched by one loop. */
class Listener implements DescriptorOwner, Ready {
  descriptor = CLOSED;
  generation = 0;
  queued = false;
  readonly #loop: Loop;
  readonly #onConnection: OnConnection;

  constructor(loop: Loop, onConnection: OnConnection) {
    this.#loop = loop;
    this.#onConnection = onConnection;
  }

  onEvents(): void {
    const { libc } = this.#loop;
    for (let count = 0; count < ACCEPTS && this.descriptor !== CLOSED; count++) {
      const accepted = libc.accept(this.descriptor);
      if (accepted >= 0) {
        this.#accept(accepted);
      } else if (accepted === AGAIN) {
        return;
      } else if (!isOneClientsFault(accepted)) {
        // Out of descriptors or memory: asked again at once, the answer would be the same.
        return this.#rest();
      }
    }
  }

  #accept(descriptor: number): void {
    const loop = this.#loop;
    const remote = loop.libc.accepted();
    if (remote === undefined) {
      loop.libc.close(descriptor);
      return;
    }
    const connection = new EpollConnection(loop, remote, SILENT, 0);
    loop.table.adopt(connection, descriptor);
    try {
      this.#onConnection(connection);
    } catch (error) {
      connection.destroy();
      loop.onError(error);
    }
    // Who was refused at once need not be watched.
    if (connection.descriptor !== CLOSED && loop.rewatch(connection, WATCHED) < 0) connection.onFault();
  }

  #rest(): void {
    this.#loop.unwatch(this);
    this.#loop.retrySoon(this);
  }

  /** Rested enough. */
  advance(): void {
    if (this.descriptor !== CLOSED && this.#loop.rewatch(this, EVENTS) < 0) this.#loop.retrySoon(this);
  }

  onFault(): void {
    if (this.descriptor !== CLOSED) this.#rest();
  }

  stop(): void {
    // Not enough to close it: it may live on in a successor, and its events would go on coming here.
    this.#loop.unwatch(this);
    this.#loop.table.close(this);
  }

  watch(descriptor: number): number {
    return this.#loop.watch(this, descriptor, EVENTS);
  }
}

/** Listens, and resolves with what is listened on. Rejects with a system error. */
export async function listenOn(
  loop: Loop,
  address: Address,
  options: ListenOptions,
  tcp: TcpOptions,
  onConnection: OnConnection,
): Promise<Listening> {
  const { libc } = loop;
  const { inherited } = options;
  const descriptor =
    inherited ??
    (address.family === 'unix'
      ? await claimPath(address.path, name => bound(loop, { family: 'unix', path: name }, options, tcp))
      : bound(loop, address, options, tcp));
  const about = JSON.stringify(address);
  if (inherited !== undefined) {
    if (address.family !== 'unix') setTcpOptions(libc, descriptor, tcp);
    must(loop, descriptor, 'ioctl', libc.setNonBlocking(descriptor), about);
    must(loop, descriptor, 'listen', libc.listen(descriptor, options.backlog), about);
  }
  const listener = new Listener(loop, onConnection);
  const watched = listener.watch(descriptor);
  if (watched < 0) throw systemError('epoll_ctl', watched, about);
  const local = address.family === 'unix' ? address : (libc.localAddress(descriptor) ?? address);
  return {
    address: local,
    descriptor,
    async close(handedOver = false) {
      if (listener.descriptor === CLOSED) return;
      listener.stop();
      if (local.family === 'unix' && !handedOver) releasePath(local.path);
    },
  };
}

/** A new socket that listens there. */
function bound(loop: Loop, address: Address, { backlog, shared }: ListenOptions, tcp: TcpOptions): number {
  const { libc } = loop;
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
        loop,
        descriptor,
        'setsockopt',
        libc.setOption(descriptor, SOCKET.SOL_IPV6, SOCKET.IPV6_V6ONLY, 1),
        about,
      );
    if (shared === true)
      must(
        loop,
        descriptor,
        'setsockopt',
        libc.setOption(descriptor, SOCKET.SOL_SOCKET, SOCKET.REUSEPORT, 1),
        about,
      );
    // What is accepted has the options of the socket it was accepted from: no call for each connection.
    setTcpOptions(libc, descriptor, tcp);
  }
  must(loop, descriptor, 'bind', libc.bind(descriptor, octets), about);
  must(loop, descriptor, 'listen', libc.listen(descriptor, backlog), about);
  return descriptor;
}

/** A step without which there is no listening: on failure the descriptor is closed, and the error thrown. */
function must(loop: Loop, descriptor: number, syscall: string, result: number, about: string): void {
  if (result >= 0) return;
  loop.libc.close(descriptor);
  throw systemError(syscall, result, about);
}
