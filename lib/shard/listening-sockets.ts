import { type Address, formatAddress } from '../core/address.ts';
import type { ListenerSnapshot } from '../session/snapshot.ts';
import type { Connection, Listening, Transport } from '../transport/contract.ts';

/** Who is told of a connection: the listener that owns its address at that moment, by name. */
export type OnAccept = (listener: string, connection: Connection) => void;

/** The listening sockets of a shard. An address stays bound over a reload, even when it moves to another listener. */
export interface ListeningSockets {
  /**
   * Makes the bound addresses those of `listeners`. New ones are bound before old ones are closed; if one cannot be
   * bound nothing changes, and it rejects with a sentence that names it.
   */
  update(listeners: readonly ListenerSnapshot[]): Promise<void>;
  /** Addresses by listener name, with the ports that were given where 0 was asked for. */
  readonly addresses: ReadonlyMap<string, readonly Address[]>;
  /** Stops accepting, at once. */
  close(): Promise<void>;
}

interface Socket {
  owner: string;
  readonly listening: Listening;
}

export function createListeningSockets(transport: Transport, onAccept: OnAccept): ListeningSockets {
  let sockets = new Map<string, Socket>();

  const open = async (address: Address, listener: ListenerSnapshot): Promise<Socket> => {
    const socket = { owner: listener.name } as { owner: string; listening: Listening };
    try {
      socket.listening = await transport.listen(address, { backlog: listener.backlog }, connection =>
        onAccept(socket.owner, connection),
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
        for (const { key, address, listener } of wanted) {
          if (!sockets.has(key)) opened.set(key, await open(address, listener));
        }
      } catch (error) {
        await closeAll(opened.values());
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

    async close() {
      const open = [...sockets.values()];
      sockets = new Map();
      await closeAll(open);
    },
  };
}

/** What makes an address the same one after a reload. Port 0 is a port of its own each time it is written. */
function keyOf(address: Address, listener: ListenerSnapshot, at: number): string {
  const text = formatAddress(address);
  return address.family !== 'unix' && address.port === 0 ? `${text} ${listener.name} ${at}` : text;
}

async function closeAll(sockets: Iterable<Socket>): Promise<void> {
  await Promise.all([...sockets].map(socket => socket.listening.close()));
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
