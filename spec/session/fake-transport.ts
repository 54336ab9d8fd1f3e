/**
 * A transport in memory, for simulations: nothing happens until the simulation lets it happen, and whatever the contract
 * forbids is written down. What relays do is the `net` transport's own code.
 */
import type { Address } from '../../lib/core/address.ts';
import type { CloseReason, Connection, ConnectionHandler, Transport } from '../../lib/transport/contract.ts';
import { HandlerRelay } from '../../lib/transport/handler-relay.ts';
import type { NetConnection } from '../../lib/transport/net/connection.ts';

/** Octets that `write` takes before it says "wait". */
export const WINDOW = 600;

type Event =
  | { readonly kind: 'connect' | 'end' }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'close'; readonly reason: CloseReason };

const SILENT: ConnectionHandler = { onConnect() {}, onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };

/** A socket with both its ends: ours below `Connection`, and the peer's, which the simulation plays. */
export class FakeSocket {
  handler: ConnectionHandler = SILENT;
  readonly #events: Event[] = [];
  readonly #onError: (error: unknown) => void;
  #pending: Uint8Array[] = [];
  #pendingOctets = 0;
  paused = false;
  #needsDrain = false;
  #endTold = false;
  /** What the peer has read. */
  readonly read: Uint8Array[] = [];
  /** What `write` was given and took. */
  readonly wrote: Uint8Array[] = [];
  written = 0;
  /** Octets handed up to our side. */
  handedUp = 0;
  /** We have closed our direction, or all. */
  ended = false;
  /** Destroyed by us, or closed and told. */
  over = false;
  /** The peer has closed its direction, or all; whether we know it or not. */
  farEnded = false;
  /** The peer or we have cut it: bytes on their way are lost. */
  cut = false;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  get writable(): boolean {
    return !this.#needsDrain;
  }

  get peerEnded(): boolean {
    return this.#endTold;
  }

  get pendingOctets(): number {
    return this.#pendingOctets;
  }

  write(bytes: Uint8Array): boolean {
    if (this.over || this.ended) return true;
    this.written += bytes.length;
    const copy = Uint8Array.from(bytes);
    this.wrote.push(copy);
    this.#pending.push(copy);
    this.#pendingOctets += bytes.length;
    if (this.#pendingOctets > WINDOW) this.#needsDrain = true;
    return this.writable;
  }

  pause(): void {
    this.paused = true;
  }

  keepAlive(): void {}

  resume(): void {
    this.paused = false;
  }

  end(): void {
    this.ended = true;
    this.#closeIfDone();
  }

  destroy(): void {
    // What the kernel has taken still arrives: here that is all but what did not fit the window.
    if (!this.over && !this.#needsDrain && !this.cut) this.#flush();
    this.cut ||= this.#pendingOctets > 0;
    this.#close();
  }

  reset(): void {
    this.cut = true;
    this.#close();
  }

  probe(): void {}

  /** The peer's side: each returns whether there was anything to do. */
  peerConnects(): boolean {
    return this.#tell({ kind: 'connect' });
  }

  peerSends(bytes: Uint8Array): boolean {
    return !this.farEnded && this.#tell({ kind: 'bytes', bytes });
  }

  peerEnds(): boolean {
    if (this.farEnded) return false;
    this.farEnded = true;
    return this.#tell({ kind: 'end' });
  }

  peerCloses(reason: CloseReason): boolean {
    if (this.over || this.cut) return false;
    this.farEnded = true;
    this.cut = true;
    // The reset overtakes what nobody reads.
    if (this.paused) this.#events.length = 0;
    return this.#tell({ kind: 'close', reason });
  }

  peerReads(): boolean {
    if (this.#pending.length === 0 || this.cut) return false;
    this.#flush();
    this.#closeIfDone();
    if (this.#needsDrain) {
      this.#needsDrain = false;
      this.#guard(() => this.handler.onDrain());
    }
    return true;
  }

  /** Hands the next event up, if it may be. */
  deliver(): boolean {
    const [event] = this.#events;
    if (event === undefined || this.over) return false;
    if (this.paused && event.kind !== 'close' && event.kind !== 'connect') return false;
    this.#events.shift();
    this.#guard(() => this.#handUp(event));
    return true;
  }

  #handUp(event: Event): void {
    const { handler } = this;
    switch (event.kind) {
      case 'connect':
        return handler.onConnect();
      case 'bytes': {
        const view = Uint8Array.from(event.bytes);
        this.handedUp += view.length;
        handler.onBytes(view);
        view.fill(0xee); // valid during the call only
        return;
      }
      case 'end':
        this.#endTold = true;
        handler.onEnd();
        return this.#closeIfDone();
      case 'close':
        this.#close();
        return handler.onClose(event.reason);
    }
  }

  #closeIfDone(): void {
    if (this.ended && this.#endTold && this.#pending.length === 0)
      this.#tell({ kind: 'close', reason: 'ended' });
  }

  #tell(event: Event): boolean {
    if (!this.over) this.#events.push(event);
    return !this.over;
  }

  #flush(): void {
    this.read.push(...this.#pending);
    this.#pending = [];
    this.#pendingOctets = 0;
  }

  #close(): void {
    this.over = true;
    this.handler = SILENT;
    this.#pending = [];
    this.#pendingOctets = 0;
    this.#events.length = 0;
  }

  /** As the contract has it: a handler that throws ends its connection and is reported. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      const { handler } = this;
      this.destroy();
      this.#onError(error);
      try {
        handler.onClose('failed');
      } catch (second) {
        this.#onError(second);
      }
    }
  }
}

/** What a session holds: the socket, and a note of everything that it must not do with it. */
export class FakeConnection implements Connection {
  readonly socket: FakeSocket;
  readonly remote: Address;
  readonly local: Address;
  readonly #complain: (what: string) => void;
  lent = false;

  constructor(socket: FakeSocket, remote: Address, local: Address, complain: (what: string) => void) {
    this.socket = socket;
    this.remote = remote;
    this.local = local;
    this.#complain = complain;
  }

  get peerEnded(): boolean {
    return this.socket.peerEnded;
  }

  get handler(): ConnectionHandler {
    return this.socket.handler;
  }

  set handler(handler: ConnectionHandler) {
    this.#check('handler');
    this.socket.handler = handler;
  }

  write(bytes: Uint8Array): boolean {
    this.#check('write');
    return this.socket.write(bytes);
  }

  pause(): void {
    this.#check('pause');
    this.socket.pause();
  }

  resume(): void {
    this.#check('resume');
    this.socket.resume();
  }

  keepAlive(): void {}

  end(): void {
    this.#check('end');
    this.socket.end();
  }

  destroy(): void {
    if (this.lent) this.#complain('destroy of a connection that the relay has');
    this.socket.destroy();
  }

  reset(): void {
    this.#check('reset');
    this.socket.reset();
  }

  #check(call: string): void {
    if (this.lent) this.#complain(`${call} on a connection that the relay has`);
    else if (this.socket.over) this.#complain(`${call} on a connection that is over`);
  }
}

export interface FakeTransportOptions {
  /** Called for each connection dialled; may throw. */
  readonly onDial: (connection: FakeConnection, handler: ConnectionHandler) => void;
  readonly onError: (error: unknown) => void;
  readonly complain: (what: string) => void;
}

const OURS: Address = { family: 'ipv4', host: '192.0.2.2', port: 40_000 };

export function createFakeTransport({ onDial, onError, complain }: FakeTransportOptions): Transport {
  return {
    name: 'net',
    listen: () => Promise.reject(new Error('clients come from the simulation')),
    connect(address, handler) {
      const connection = new FakeConnection(new FakeSocket(onError), address, OURS, complain);
      onDial(connection, handler);
      connection.handler = handler;
      return connection;
    },
    relay(first, second, handler) {
      const [a, b] = [first, second] as [FakeConnection, FakeConnection];
      a.lent = b.lent = true;
      // It has all that the relay uses of a net connection.
      const socketOf = ({ socket }: FakeConnection) => socket as unknown as NetConnection;
      return new HandlerRelay(socketOf(a), socketOf(b), handler, {
        stall: socket => socket.pause(),
        goOn: socket => socket.resume(),
        hasRoom: socket => socket.writable,
        forget() {},
      });
    },
  };
}
