import { connect, createServer, type NetConnectOpts, type OnReadOpts, type Server } from 'node:net';
import type { Address, IpAddress } from '../../core/address.ts';
import type { ConnectionHandler, DialOptions, Listening, ListenOptions, Transport } from '../contract.ts';
import { HandlerRelay } from '../handler-relay.ts';
import { NetConnection, type OnHandlerError, peerOf } from './connection.ts';
import { createNetFlow } from './flow.ts';
import { descriptorOf, listenOn, stopListening } from './listen.ts';
import { secure } from './secure.ts';

/** Bytes a socket holds for a slow peer before `write` says "wait". Two directions of it bound a relay's memory. */
const HIGH_WATER_MARK = 65_536;

/** The most that is read from a dialled socket at once. */
const READ_OCTETS = 65_536;

// Half-close must survive, small replies must not wait for the peer's ACK.
const SOCKET_OPTIONS = { allowHalfOpen: true, noDelay: true, highWaterMark: HIGH_WATER_MARK } as const;

/** The reference transport: Node's own sockets. Runs everywhere. */
export function createNetTransport(onHandlerError: OnHandlerError): Transport {
  const flow = createNetFlow();
  const readBuffer = Buffer.allocUnsafeSlow(READ_OCTETS);
  return {
    name: 'net',

    listen(address, options, onConnection) {
      const server = createServer(SOCKET_OPTIONS, socket => {
        // Reset before it was accepted: what it sent can still be read, but nobody can say who sent it.
        const remote = peerOf(socket, address.family === 'unix');
        if (remote === undefined) socket.destroy();
        else onConnection(new NetConnection(socket, remote, null, onHandlerError));
      });
      return started(server, address, options);
    },

    connect(address: Address, handler: ConnectionHandler, options?: DialOptions) {
      // Reads of all dialled sockets land in one buffer, past the stream machinery, and are copied out at their own
      // size: replies are small, and a fresh 64 KiB for each is what the garbage collector would spend its time on.
      const onread = {
        buffer: readBuffer,
        callback(length: number, buffer: Uint8Array): boolean {
          connection.received(Buffer.from(buffer.subarray(0, length)));
          return true;
        },
      };
      const socket = connect(dialOptions(address, onread, options?.source));
      const connection = new NetConnection(socket, address, handler, onHandlerError);
      return connection;
    },

    relay(first, second, handler) {
      return new HandlerRelay(first as NetConnection, second as NetConnection, handler, flow);
    },

    securable: connection => connection,

    secure(connection, options) {
      secure(connection as NetConnection, options, HIGH_WATER_MARK);
    },
  };
}

/** Written out: spreading would cost microseconds for each session. */
function dialOptions(
  address: Address,
  onread: OnReadOpts,
  source: IpAddress | undefined,
): NetConnectOpts & { highWaterMark: number } {
  const { allowHalfOpen, noDelay, highWaterMark } = SOCKET_OPTIONS;
  if (address.family === 'unix') return { path: address.path, allowHalfOpen, noDelay, highWaterMark, onread };
  const { host, port } = address;
  if (source === undefined) return { host, port, allowHalfOpen, noDelay, highWaterMark, onread };
  const local = { localAddress: source.host, localPort: source.port };
  return { host, port, ...local, allowHalfOpen, noDelay, highWaterMark, onread };
}

async function started(server: Server, address: Address, options: ListenOptions): Promise<Listening> {
  const bound = await listenOn(server, address, options);
  // Accept errors (EMFILE and the like) are Node's to retry; the descriptor budget keeps them from happening.
  server.on('error', () => {});
  return {
    address: bound,
    descriptor: descriptorOf(server),
    // Node's own callback would wait for every accepted connection.
    async close(handedOver = false) {
      stopListening(server, bound, handedOver);
      await new Promise(resolve => setImmediate(resolve));
    },
  };
}
