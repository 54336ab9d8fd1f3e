import { type Address, formatAddress } from '../core/address.ts';
import type { ListenerSnapshot } from '../session/snapshot.ts';
import type { Connection, Listening, Transport } from '../transport/contract.ts';

/** Who is told of a connection: the listener that owns its address at that moment, by name. */
export type OnAccept = (listener: string, connection: Connection) => void;

/** The listening sockets of a shard. An address stays bound over a reload, even when it moves to another listener. */
export interface ListeningSockets {
  /**
   * Makes the bound addresses those of `listeners`. New ones are bound before old ones are closed; if one cannot be
   * bound nothing changes, and it rejects with a sentence that names it. Rejects, too, once `close` was called.
   */
  update(listeners: readonly ListenerSnapshot[]): Promise<void>;
  /** Addresses by listener name, with the ports that were given where 0 was asked for. */
  readonly addresses: ReadonlyMap<string, readonly Address[]>;
  /** What a successor may inherit. */
  readonly inheritable: readonly InheritableSocket[];
  /** Stops accepting, at once; `handedOver` if a successor listens on the same sockets. */
  close(handedOver?: boolean): Promise<void>;
}

export interface InheritableSocket {
  readonly listener: string;
  /** The address as the configuration has it. */
  readonly address: string;
  readonly descriptor: number | undefined;
  /** See `InheritedSocket`. */
  readonly foreign: boolean;
}

/** A listening socket that was handed down to this process. */
export interface InheritedSocket {
  readonly descriptor: number;
  /** Whoever made it (systemd) goes on holding it: the path of a Unix socket is his to remove, never ours. */
  readonly foreign: boolean;
}

/** An address as the configuration has it, and the listener that wants it. */
export interface WantedAddress {
  readonly listener: string;
  readonly address: string;
}

/** A socket, or none, for each address; a socket is given out once. All that are wanted are asked for together. */
export type TakeInherited = (wanted: readonly WantedAddress[]) => readonly (InheritedSocket | undefined)[];

interface Socket {
  readonly configured: string;
  owner: string;
  readonly listening: Listening;
  readonly inherited: InheritedSocket | undefined;
}

export function createListeningSockets(
  transport: Transport,
  takeInherited: TakeInherited,
  onAccept: OnAccept,
): ListeningSockets {
  let sockets = new Map<string, Socket>();
  let closed = false;
  const assertOpen = (): void => {
    if (closed) throw new Error('the instance is stopping');
  };

  const open = async (
    address: Address,
    listener: ListenerSnapshot,
    inherited: InheritedSocket | undefined,
  ): Promise<Socket> => {
    const socket = {
      owner: listener.name,
      configured: formatAddress(address),
      inherited,
    } as Socket & { listening: Listening };
    try {
      socket.listening = await transport.listen(
        address,
        { backlog: listener.backlog, inherited: inherited?.descriptor },
        connection => onAccept(socket.owner, connection),
      );
    } catch (error) {
      throw new Error(
        `listener ${listener.name} cannot listen on ${formatAddress(address)}: ${reasonOf(error)}`,
      );
    }
    return socket;
  };

  return {
    async update(listeners) {
      const wanted = listeners.flatMap(listener =>
        listener.addresses.map((address, at) => ({ key: keyOf(address, listener, at), address, listener })),
      );
      const opened = new Map<string, Socket>();
      try {
        assertOpen();
        const missing = wanted.filter(({ key }) => !sockets.has(key));
        const inherited = takeInherited(
          missing.map(({ address, listener }) => ({
            listener: listener.name,
            address: formatAddress(address),
          })),
        );
        for (const [at, { key, address, listener }] of missing.entries()) {
          opened.set(key, await open(address, listener, inherited[at]));
          assertOpen();
        }
      } catch (error) {
        // Whoever handed a socket down carries on with it.
        for (const socket of opened.values()) await socket.listening.close(socket.inherited !== undefined);
        throw error;
      }
      const before = sockets;
      sockets = new Map();
      for (const { key, listener } of wanted) {
        const socket = before.get(key) ?? (opened.get(key) as Socket);
        socket.owner = listener.name;
        sockets.set(key, socket);
        before.delete(key);
      }
      await closeAll(before.values());
    },

    get addresses() {
      const byListener = new Map<string, Address[]>();
      for (const { owner, listening } of sockets.values()) {
        byListener.set(owner, [...(byListener.get(owner) ?? []), listening.address]);
      }
      return byListener;
    },

    get inheritable() {
      return [...sockets.values()].map(({ owner, configured, listening, inherited }) => ({
        listener: owner,
        address: configured,
        descriptor: listening.descriptor,
        foreign: inherited?.foreign === true,
      }));
    },

    async close(handedOver) {
      closed = true;
      const open = [...sockets.values()];
      sockets = new Map();
      await closeAll(open, handedOver);
    },
  };
}

/** What makes an address the same one after a reload. Port 0 is a port of its own each time it is written. */
function keyOf(address: Address, listener: ListenerSnapshot, at: number): string {
  const text = formatAddress(address);
  return address.family !== 'unix' && address.port === 0 ? `${text} ${listener.name} ${at}` : text;
}

async function closeAll(sockets: Iterable<Socket>, handedOver = false): Promise<void> {
  await Promise.all(
    [...sockets].map(({ listening, inherited }) =>
      listening.close(handedOver || inherited?.foreign === true),
    ),
  );
}

function reasonOf(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return 'another process listens there (EADDRINUSE)';
    case 'EACCES':
      return 'it needs root, or the capability CAP_NET_BIND_SERVICE (EACCES)';
    case 'EADDRNOTAVAIL':
      return 'this host has no such address (EADDRNOTAVAIL)';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
