import type { Address } from '../../core/address.ts';
import { ACCEPTS_A_TURN } from '../../core/limits.ts';
import type { Connection, Listening, ListenOptions } from '../contract.ts';
import { CLOSED, type DescriptorOwner } from '../linux/descriptor.ts';
import { AGAIN, isOneClientsFault, systemError } from '../linux/errno.ts';
import { EPOLL } from '../linux/layout.ts';
import { listeningDescriptor } from '../linux/listening-descriptor.ts';
import { SILENT } from '../silent.ts';
import { releasePath } from '../unix-path.ts';
import { EpollConnection, WATCHED } from './connection.ts';
import type { Loop, Ready } from './loop.ts';

/** At most so many are accepted at the end, when nobody is to wait in the queue of a socket that is closed. */
const LAST_ACCEPTS = 4_096;

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
    for (let count = 0; count < ACCEPTS_A_TURN && this.descriptor !== CLOSED; count++) {
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
    // Who came last may have been told to us and to nobody else who listens on the same socket.
    for (let count = 0; count < LAST_ACCEPTS; count++) {
      const accepted = this.#loop.libc.accept(this.descriptor);
      if (accepted >= 0) this.#accept(accepted);
      else if (!isOneClientsFault(accepted)) break;
    }
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
  onConnection: OnConnection,
): Promise<Listening> {
  const { libc } = loop;
  const descriptor = await listeningDescriptor(loop.libc, address, options, loop.tcp);
  const listener = new Listener(loop, onConnection);
  const watched = listener.watch(descriptor);
  if (watched < 0) throw systemError('epoll_ctl', watched, JSON.stringify(address));
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
