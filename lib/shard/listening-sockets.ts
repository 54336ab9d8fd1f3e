import { type Address, formatAddress } from '../core/address.ts';
import type { ListenerSnapshot } from '../session/snapshot.ts';
import type { Connection, Listening, Transport } from '../transport/contract.ts';
import {
  type BoundSocket,
  cannotListen,
  closeUntaken,
  type InheritedSocket,
  type SocketPlaces,
  type WantedSocket,
  wantedSockets,
} from './sockets.ts';

/** Who is told of a connection: the listener that owns its address at that moment, by name. */
export type OnAccept = (listener: string, connection: Connection) => void;

/** The listening sockets of a shard. An address stays bound over a reload, even when it moves to another listener. */
export interface ListeningSockets {
  /**
   * Binds what `listeners` want and is not bound yet; those sockets accept at once. If one cannot be bound nothing
   * changes, and it rejects with a sentence that names it. Rejects, too, once `close` was called. What is prepared is
   * either put into use or given up before the next.
   */
  prepare(listeners: readonly ListenerSnapshot[], places: SocketPlaces): Promise<PreparedSockets>;
  readonly bound: readonly BoundSocket[];
  /** Stops accepting, at once; `handedOver` if a successor listens on the same sockets. */
  close(handedOver?: boolean): Promise<void>;
}

export interface PreparedSockets {
  /** What will be bound once it is in use. */
  readonly bound: readonly BoundSocket[];
  /** Closes what is not wanted any more. Rejects where `close` was called meanwhile. */
  commit(): Promise<void>;
  /** Closes what was bound for nothing. */
  abort(): Promise<void>;
}

interface Socket {
  readonly key: string;
  readonly configured: string;
  owner: string;
  /** More than one where several that listen on the same address were handed down. */
  readonly doors: Door[];
}

interface Door {
  readonly listening: Listening;
  readonly inherited: InheritedSocket | undefined;
}

export function createListeningSockets(transport: Transport, onAccept: OnAccept): ListeningSockets {
  let sockets = new Map<string, Socket>();
  let closed = false;
  const assertOpen = (): void => {
    if (closed) throw new Error('the instance is stopping');
  };

  const open = async (
    wanted: WantedSocket,
    places: SocketPlaces,
    opened: Map<string, Socket>,
    untaken: Set<InheritedSocket>,
  ) => {
    const { key, listener, address } = wanted;
    const socket: Socket = { key, owner: listener.name, configured: formatAddress(address), doors: [] };
    opened.set(key, socket);
    const at = withPort(address, places.ports.get(key));
    for (const inherited of places.inherited.get(key) ?? [undefined]) {
      // From here on it is the transport's to close.
      if (inherited !== undefined) untaken.delete(inherited);
      try {
        const listening = await transport.listen(
          at,
          {
            backlog: listener.backlog,
            inherited: inherited?.descriptor,
            shared: places.shared && address.family !== 'unix',
          },
          connection => onAccept(socket.owner, connection),
        );
        socket.doors.push({ listening, inherited });
      } catch (error) {
        throw cannotListen(wanted, error);
      }
      assertOpen();
    }
  };

  /** Whoever handed a socket down carries on with it. */
  const giveUp = async (opened: ReadonlyMap<string, Socket>): Promise<void> => {
    for (const { doors } of opened.values())
      for (const { listening, inherited } of doors) await listening.close(inherited !== undefined);
  };

  return {
    async prepare(listeners, places) {
      const wanted = wantedSockets(listeners).filter(({ key }) => !places.left.has(key));
      const opened = new Map<string, Socket>();
      const untaken = new Set([...places.inherited.values()].flat());
      try {
        assertOpen();
        for (const socket of wanted)
          if (!sockets.has(socket.key)) await open(socket, places, opened, untaken);
      } catch (error) {
        await giveUp(opened);
        throw error;
      } finally {
        closeUntaken(untaken);
      }
      const next = new Map(
        wanted.map(({ key, listener }) => [
          key,
          { listener, socket: sockets.get(key) ?? (opened.get(key) as Socket) },
        ]),
      );
      return {
        bound: [...next.values()].flatMap(({ listener, socket }) => boundOf(socket, listener.name)),
        async commit() {
          if (closed) await giveUp(opened);
          assertOpen();
          const unwanted = [...sockets.values()].filter(({ key }) => !next.has(key));
          sockets = new Map();
          for (const [key, { listener, socket }] of next) {
            socket.owner = listener.name;
            sockets.set(key, socket);
          }
          await closeAll(unwanted);
        },
        abort: () => giveUp(opened),
      };
    },

    get bound() {
      return [...sockets.values()].flatMap(socket => boundOf(socket, socket.owner));
    },

    async close(handedOver) {
      closed = true;
      const open = [...sockets.values()];
      sockets = new Map();
      await closeAll(open, handedOver);
    },
  };
}

function boundOf({ key, configured, doors }: Socket, listener: string): BoundSocket[] {
  return doors.map(({ listening, inherited }) => ({
    key,
    listener,
    configured,
    address: listening.address,
    descriptor: listening.descriptor,
    foreign: inherited?.foreign === true,
  }));
}

function withPort(address: Address, port: number | undefined): Address {
  return port === undefined || address.family === 'unix' ? address : { ...address, port };
}

async function closeAll(sockets: Iterable<Socket>, handedOver = false): Promise<void> {
  await Promise.all(
    [...sockets]
      .flatMap(({ doors }) => doors)
      .map(({ listening, inherited }) => listening.close(handedOver || inherited?.foreign === true)),
  );
}
