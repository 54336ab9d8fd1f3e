/** TLS in memory: what stands between a transport and a handler, and nothing happens but when the test lets it happen. */
import { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { Address } from '../../lib/core/address.ts';
import type { ConnectionHandler } from '../../lib/transport/contract.ts';
import type { OpenSsl } from '../../lib/transport/linux/openssl/load.ts';
import { PIECE_OCTETS, SecurableConnection } from '../../lib/transport/secured/connection.ts';
import type { TlsServerOptions } from '../../lib/transport/tls-contract.ts';
import { FakeConnection, FakeSocket } from '../session/fake-transport.ts';
import type { Owner } from '../support/owner.ts';

const SOMEWHERE: Address = { family: 'ipv4', host: '192.0.2.1', port: 25 };

/** A connection that awaits its client's handshake. */
export interface Server {
  readonly connection: SecurableConnection;
  /** What the connection stands on, and what of it the client has read. */
  readonly socket: FakeSocket;
  /** What handlers threw. */
  readonly faults: unknown[];
  /** Runs what was put off. */
  goOn(): void;
}

export interface Wire extends Server {
  readonly client: TLSSocket;
  /** What the client has said and the server has not been given yet. */
  said(): Buffer;
  /** Lets the client read all there is, and say what it wants to. */
  turn(): Promise<void>;
  /** Shakes hands; false where that comes to nothing. */
  shakeHands(): Promise<boolean>;
}

export interface WireOptions {
  readonly openssl: OpenSsl;
  readonly handler: ConnectionHandler;
  readonly server: TlsServerOptions;
  readonly client?: ConnectionOptions;
}

export function openServer({ openssl, handler, server }: WireOptions): Server {
  const faults: unknown[] = [];
  const onHandlerError = (error: unknown): void => void faults.push(error);
  const put: (() => void)[] = [];
  const scratch = Buffer.allocUnsafeSlow(PIECE_OCTETS);
  const kit = { openssl, onHandlerError, scratch, later: (call: () => void) => void put.push(call) };
  const socket = new FakeSocket(onHandlerError);
  const below = new FakeConnection(socket, SOMEWHERE, SOMEWHERE, () => {});
  const connection = new SecurableConnection(below, kit);
  connection.handler = handler;
  connection.secure(server);
  return {
    connection,
    socket,
    faults,
    goOn() {
      for (const call of put.splice(0)) call();
    },
  };
}

/** With a client, which has said nothing yet. */
export function openWire(owner: Owner, options: WireOptions): Wire {
  const opened = openServer(options);
  const { socket } = opened;
  let said: Buffer[] = [];
  const line = new Duplex({
    read() {},
    write(bytes, _encoding, done) {
      said.push(bytes);
      done();
    },
  });
  const tls = connect({ ...options.client, socket: line, rejectUnauthorized: false });
  tls.on('error', () => {});
  owner.teardown(() => tls.destroy());
  const wire: Wire = {
    ...opened,
    client: tls,
    said() {
      const all = Buffer.concat(said);
      said = [];
      return all;
    },
    async turn() {
      while (socket.peerReads());
      for (const bytes of socket.read.splice(0)) line.push(bytes);
      if (socket.ended && !line.readableEnded) line.push(null);
      await new Promise(setImmediate);
      await new Promise(setImmediate);
    },
    async shakeHands() {
      for (let turns = 0; turns < 50 && !socket.over; turns++) {
        await wire.turn();
        const bytes = wire.said();
        if (bytes.length > 0) socket.peerSends(bytes);
        while (socket.deliver());
        if (
          tls.getCipher() !== undefined &&
          tls.getPeerCertificate()?.subject &&
          bytes.length === 0 &&
          turns > 4
        )
          return true;
      }
      return false;
    },
  };
  return wire;
}
