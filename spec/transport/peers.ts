/** What the contract tests need beside a transport: a handler that remembers, and the address forms to run on. */
import { join } from 'node:path';
import { type Address, ipAddress } from '../../lib/core/address.ts';
import type {
  CloseReason,
  Connection,
  ConnectionHandler,
  Listening,
  Transport,
} from '../../lib/transport/contract.ts';
import { loadEpoll } from '../../lib/transport/epoll/load.ts';
import type { FastTransport } from '../../lib/transport/fast.ts';
import { loadOpenSsl } from '../../lib/transport/linux/openssl/load.ts';
import { createNetTransport } from '../../lib/transport/net/transport.ts';
import { withTls } from '../../lib/transport/secured/transport.ts';
import type { TlsFault, TlsInfo } from '../../lib/transport/tls-contract.ts';
import { loadUring } from '../../lib/transport/uring/load.ts';
import { eventually, within } from '../support/eventually.ts';
import type { Owner } from '../support/owner.ts';

/** The transports that the contract is held against. */
export const TRANSPORTS = ['net', 'epoll', 'io_uring'] as const;
export type TransportName = (typeof TRANSPORTS)[number];

type Event = 'connect' | 'end' | 'drain' | 'secure' | `close ${CloseReason}`;

/** A handler that remembers all it is told. */
export interface Recorder extends ConnectionHandler {
  /** In the order of their coming, bytes left out. */
  readonly events: readonly Event[];
  readonly bytes: Buffer;
  /** What `onSecure` and `onClose` brought. */
  readonly info: TlsInfo | undefined;
  readonly fault: TlsFault | undefined;
  /** Resolves with the reason when the connection is over. */
  closed(): Promise<CloseReason>;
  /** Resolves when this event is among those that came. */
  came(event: Event): Promise<void>;
  /** Resolves when at least so many bytes came. */
  received(count: number): Promise<Buffer>;
}

export function recorder(): Recorder {
  const events: Event[] = [];
  let chunks: Buffer[] = [];
  let size = 0;
  let info: TlsInfo | undefined;
  let fault: TlsFault | undefined;
  const { promise: over, resolve } = withResolvers<CloseReason>();
  const whole = () => {
    chunks = [Buffer.concat(chunks)];
    return chunks[0] as Buffer;
  };
  return {
    events,
    get bytes() {
      return whole();
    },
    get info() {
      return info;
    },
    get fault() {
      return fault;
    },
    closed: () => within('the close', over, undefined, () => `after ${events.join(', ')}`),
    came: async event => void (await eventually(`${event}, after ${events}`, () => events.includes(event))),
    received: count => eventually(`${count} bytes`, () => size >= count && whole()),
    onConnect: () => void events.push('connect'),
    onBytes(view) {
      size += view.length;
      chunks.push(Buffer.from(view)); // a view is valid during the call only
    },
    onEnd: () => void events.push('end'),
    onDrain: () => void events.push('drain'),
    onSecure(secured) {
      info = secured;
      events.push('secure');
    },
    onClose(reason, why) {
      fault = why;
      events.push(`close ${reason}`);
      resolve(reason);
    },
  };
}

function withResolvers<T>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>(done => {
    resolve = done;
  });
  return { promise, resolve };
}

/** A connection and the handler that is told of it. */
export interface Side {
  readonly connection: Connection;
  readonly told: Recorder;
}

export interface Pair {
  /** The end that was accepted. */
  readonly accepted: Side;
  /** The end that dialled. */
  readonly dialled: Side;
}

export interface World {
  readonly transport: Transport;
  /** What handlers threw. */
  readonly faults: unknown[];
  /** Listens, on a free port or path, and gives the connections that are accepted. */
  listen(address?: Address): Promise<Listening & { accept(): Promise<Side> }>;
  /** A connection and both of its ends; the one that dials may be of another transport. */
  pair(address?: Address, dialling?: Transport): Promise<Pair>;
}

/** One transport, cleaned up after the test. `securable`: TLS can begin on its connections. */
export function openWorld(owner: Owner, name: TransportName, securable = false): World {
  const faults: unknown[] = [];
  const { transport, close } = createTransport(name, error => faults.push(error));
  const open = new Set<Connection>();
  const listeners: Listening[] = [];
  owner.teardown(async () => {
    for (const connection of open) connection.destroy();
    await Promise.all(listeners.map(listener => listener.close()));
    close();
  });

  const world: World = {
    transport,
    faults,
    async listen(address = LOOPBACK) {
      const waiting: Side[] = [];
      const listening = await transport.listen(address, { backlog: 128 }, accepted => {
        const connection = (securable && transport.securable?.(accepted)) || accepted;
        const told = recorder();
        connection.handler = told;
        open.add(connection);
        waiting.push({ connection, told });
      });
      listeners.push(listening);
      return { ...listening, accept: () => eventually('a connection', () => waiting.shift()) };
    },
    async pair(address, dialling = transport) {
      const listening = await world.listen(address);
      const told = recorder();
      const dialled = dialling.connect(listening.address, told);
      const connection = (securable && dialling.securable?.(dialled)) || dialled;
      open.add(connection);
      const accepted = await listening.accept();
      await told.came('connect');
      return { accepted, dialled: { connection, told } };
    },
  };
  return world;
}

interface Created {
  readonly transport: Transport;
  close(): void;
}

const epoll = await loadEpoll();
const uring = await loadUring();
const openssl = await loadOpenSsl();

/** The tests' own sockets and timers live in this thread, too. */
const POLITE_WAIT_MS = 1;

function createTransport(name: TransportName, onHandlerError: (error: unknown) => void): Created {
  switch (name) {
    case 'net':
      return { transport: createNetTransport(onHandlerError), close() {} };
    case 'epoll':
    case 'io_uring': {
      const { create, reason } = name === 'epoll' ? epoll : uring;
      if (create === undefined) throw new Error(reason);
      const plain: FastTransport = create(onHandlerError, { longestWaitMs: POLITE_WAIT_MS });
      plain.start();
      if (typeof openssl === 'string') throw new Error(openssl);
      return { transport: withTls(plain, openssl, onHandlerError), close: plain.close };
    }
  }
}

const at = (host: string): Address => ipAddress(host, 0) as Address;

export const LOOPBACK = at('127.0.0.1');

/** Every kind of address that the contract is to hold on. */
export function addresses(folder: string): readonly (readonly [name: string, address: Address])[] {
  return [
    ['IPv4', LOOPBACK],
    ['IPv6', at('::1')],
    ['a Unix socket', { family: 'unix', path: join(folder, 's') }],
  ];
}
