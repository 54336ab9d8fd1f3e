import type { Address } from '../../core/address.ts';
import { ACCEPTS_A_TURN } from '../../core/limits.ts';
import type { Connection, Listening, ListenOptions } from '../contract.ts';
import { CLOSED, type DescriptorHolder } from '../linux/descriptor.ts';
import { isOneClientsFault } from '../linux/errno.ts';
import type { Memory } from '../linux/libc.ts';
import { listeningDescriptor } from '../linux/listening-descriptor.ts';
import { decodeAddress } from '../linux/sockaddr.ts';
import { releasePath } from '../unix-path.ts';
import { UringConnection } from './connection.ts';
import { KIND, type Kind, type OperationOwner, tagOf } from './operations.ts';
import type { Completion } from './ring.ts';
import type { Shared } from './shared.ts';

/** Milliseconds until accepting is tried again when descriptors or memory have run out. */
const RETRY_MS = 100;
/** At most so many are accepted at the end, when nobody is to wait in the queue of a socket that is closed. */
const LAST_ACCEPTS = 4_096;
const ADDRESS_OCTETS = 128;

type OnConnection = (connection: Connection) => void;

/** A listening socket, and the accepts that wait on it. */
class Listener implements DescriptorHolder {
  descriptor = CLOSED;
  generation = 0;
  readonly shared: Shared;
  readonly #onConnection: OnConnection;
  readonly #accepts: Accept[] = [];
  #under = 0;
  #onQuiet: (() => void) | null = null;

  constructor(shared: Shared, descriptor: number, onConnection: OnConnection) {
    this.shared = shared;
    this.#onConnection = onConnection;
    shared.table.adopt(this, descriptor);
    // So many wait in the kernel at a time, which is the most that one turn brings.
    for (let count = 0; count < ACCEPTS_A_TURN; count++) this.#accepts.push(new Accept(this));
  }

  get stopping(): boolean {
    return this.#onQuiet !== null;
  }

  began(): void {
    this.#under++;
  }

  ended(): void {
    this.#under--;
    if (this.#under === 0) this.#onQuiet?.();
  }

  accepted(descriptor: number, remote: Address | undefined): void {
    const { libc, onHandlerError } = this.shared;
    if (remote === undefined) {
      libc.close(descriptor);
      return;
    }
    const connection = new UringConnection(this.shared, descriptor, remote, true);
    try {
      this.#onConnection(connection);
    } catch (error) {
      connection.destroy();
      onHandlerError(error);
    }
    connection.begin();
  }

  /** Resolves when no accept waits any more; what they brought until then has been handed on. */
  async stop(): Promise<void> {
    await new Promise<void>(resolve => {
      this.#onQuiet = resolve;
      for (const accept of this.#accepts) accept.stop();
      if (this.#under === 0) resolve();
    });
    // Who came last may have been told to us and to nobody else who listens on the same socket.
    const { libc, table } = this.shared;
    for (let count = 0; count < LAST_ACCEPTS; count++) {
      const descriptor = libc.accept(this.descriptor);
      if (descriptor >= 0) this.accepted(descriptor, libc.accepted());
      else if (!isOneClientsFault(descriptor)) break;
    }
    table.close(this);
  }
}

/** One accept, armed again and again, with room for the address it brings. */
class Accept implements OperationOwner {
  readonly #listener: Listener;
  readonly #room: Memory;
  readonly #slot: number;
  #waiting = false;

  constructor(listener: Listener) {
    const { calls, operations } = listener.shared;
    this.#listener = listener;
    this.#room = calls.allocate(ADDRESS_OCTETS + 4);
    this.#slot = operations.enter(this);
    this.#arm();
  }

  completed(_kind: Kind, { result }: Completion): void {
    this.#waiting = false;
    this.#listener.ended();
    if (result >= 0) {
      const octets = Math.min(this.#room.words[ADDRESS_OCTETS / 4] as number, ADDRESS_OCTETS);
      this.#listener.accepted(result, decodeAddress(this.#room.bytes, 0, octets));
    }
    if (this.#listener.stopping) this.#listener.shared.operations.leave(this.#slot);
    else if (result >= 0 || isOneClientsFault(result)) this.#arm();
    // Out of descriptors or memory: asked again at once, the answer would be the same.
    else setTimeout(() => this.#arm(), RETRY_MS).unref();
  }

  stop(): void {
    if (this.#waiting)
      this.#listener.shared.ring.cancel(tagOf(this.#slot, KIND.accept), tagOf(0, KIND.ignored));
  }

  #arm(): void {
    const { operations } = this.#listener.shared;
    if (this.#listener.stopping) return operations.leave(this.#slot);
    const { calls, ring } = this.#listener.shared;
    this.#waiting = true;
    this.#listener.began();
    this.#room.bytes[0] = 0;
    this.#room.words[ADDRESS_OCTETS / 4] = ADDRESS_OCTETS;
    const { address } = this.#room;
    ring.accept(
      this.#listener.descriptor,
      tagOf(this.#slot, KIND.accept),
      address,
      calls.at(address, ADDRESS_OCTETS),
    );
  }
}

/** Listens, and resolves with what is listened on. Rejects with a system error. */
export async function listenOn(
  shared: Shared,
  address: Address,
  options: ListenOptions,
  onConnection: OnConnection,
): Promise<Listening> {
  const descriptor = await listeningDescriptor(shared.libc, address, options, shared.tcp);
  const listener = new Listener(shared, descriptor, onConnection);
  const local = address.family === 'unix' ? address : (shared.libc.localAddress(descriptor) ?? address);
  let stopped: Promise<void> | null = null;
  return {
    address: local,
    descriptor,
    async close(handedOver = false) {
      stopped ??= listener.stop().then(() => {
        if (local.family === 'unix' && !handedOver) releasePath(local.path);
      });
      await stopped;
    },
  };
}
