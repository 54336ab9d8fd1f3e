import type { Socket } from 'node:net';
import { type Address, ipAddress } from '../../core/address.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../contract.ts';

/** Told of handlers that throw: a fault of ours, which ends one session. */
export type OnHandlerError = (error: unknown) => void;

/** One end of a Unix socket that is bound to no path. */
const NAMELESS: Address = { family: 'unix', path: '' };

const NOTHING = new Uint8Array(0);

const SILENT: ConnectionHandler = {
  onConnect() {},
  onBytes() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
};

/** What the errors of sockets mean. An established connection that fails was reset, whatever the kernel calls it. */
const DIALLING_REASONS: ReadonlyMap<string, CloseReason> = new Map([
  ['ECONNREFUSED', 'refused'],
  ['ENOENT', 'refused'], // a Unix socket that is not there
  ['EAGAIN', 'refused'], // a Unix socket whose backlog is full
  ['ECONNRESET', 'reset'],
  ['EHOSTUNREACH', 'unreachable'],
  ['ENETUNREACH', 'unreachable'],
  ['EHOSTDOWN', 'unreachable'],
  ['ENETDOWN', 'unreachable'],
  ['ETIMEDOUT', 'timed-out'],
  ['EADDRNOTAVAIL', 'no-ports'],
  ['EMFILE', 'no-descriptors'],
  ['ENFILE', 'no-descriptors'],
] as const);

/** A socket that knows its connection, so that listeners are plain functions and not a closure for each event. */
interface OwnedSocket extends Socket {
  connection?: NetConnection;
}

/** One `net.Socket` behind the contract. */
export class NetConnection implements Connection {
  handler: ConnectionHandler;
  readonly remote: Address;
  readonly #socket: OwnedSocket;
  readonly #onHandlerError: OnHandlerError;
  #reason: CloseReason = 'ended';
  #established: boolean;

  constructor(
    socket: Socket,
    remote: Address,
    handler: ConnectionHandler | null,
    onHandlerError: OnHandlerError,
  ) {
    this.#socket = socket;
    this.remote = remote;
    this.handler = handler ?? SILENT;
    this.#onHandlerError = onHandlerError;
    this.#established = !socket.connecting;
    this.#socket.connection = this;
    if (socket.connecting) socket.on('connect', onConnect);
    socket.on('data', onData).on('end', onEnd).on('drain', onDrain).on('error', onError).on('close', onClose);
  }

  get local(): Address {
    return endpoint(this.#socket.localAddress, this.#socket.localPort) ?? NAMELESS;
  }

  /** False while the kernel and the socket's own buffer are full. */
  get writable(): boolean {
    return !this.#socket.writableNeedDrain;
  }

  /** The peer has closed its direction, and all it sent has been handed up. */
  get readEnded(): boolean {
    return this.#socket.readableEnded;
  }

  write(bytes: Uint8Array): boolean {
    return this.#socket.writable ? this.#socket.write(bytes) : true;
  }

  /** Finds out whether the peer is still there, where nothing is read: see stalled.ts. */
  probe(): void {
    if (this.#socket.writable && this.#socket.writableLength === 0) this.#socket.write(NOTHING);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    if (this.#socket.writable) this.#socket.end();
  }

  destroy(): void {
    this.handler = SILENT;
    this.#socket.destroy();
  }

  reset(): void {
    this.handler = SILENT;
    // A socket that still dials has nobody to reset, and Node would wait for the connection first. A Unix socket knows
    // no RST (Node throws), and one whose peer is gone, which has no address either, needs none.
    if (this.#established && this.remote.family !== 'unix') this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  connected(): void {
    this.#established = true;
    this.#guard(() => this.handler.onConnect());
  }

  received(bytes: Uint8Array): void {
    try {
      this.handler.onBytes(bytes);
    } catch (error) {
      this.#failed(error);
    }
  }

  ended(): void {
    this.#guard(() => this.handler.onEnd());
  }

  drained(): void {
    this.#guard(() => this.handler.onDrain());
  }

  failed(error: NodeJS.ErrnoException): void {
    this.#reason = this.#established ? 'reset' : (DIALLING_REASONS.get(error.code ?? '') ?? 'failed');
  }

  closed(): void {
    const { handler } = this;
    this.handler = SILENT;
    this.#guard(() => handler.onClose(this.#reason));
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#failed(error);
    }
  }

  /** A handler threw: its session must not live on half-told. */
  #failed(error: unknown): void {
    const { handler } = this;
    this.destroy();
    this.#onHandlerError(error);
    try {
      handler.onClose('failed');
    } catch (second) {
      this.#onHandlerError(second);
    }
  }
}

/** The peer of an accepted socket; undefined where it is gone already, and nobody can say who it was. */
export function peerOf(socket: Socket, onUnixSocket: boolean): Address | undefined {
  return onUnixSocket ? NAMELESS : endpoint(socket.remoteAddress, socket.remotePort);
}

function endpoint(host: string | undefined, port: number | undefined): Address | undefined {
  return host === undefined ? undefined : ipAddress(host, port ?? 0);
}

function onConnect(this: OwnedSocket): void {
  this.connection?.connected();
}
function onData(this: OwnedSocket, bytes: Uint8Array): void {
  this.connection?.received(bytes);
}
function onEnd(this: OwnedSocket): void {
  this.connection?.ended();
}
function onDrain(this: OwnedSocket): void {
  this.connection?.drained();
}
function onError(this: OwnedSocket, error: NodeJS.ErrnoException): void {
  this.connection?.failed(error);
}
function onClose(this: OwnedSocket): void {
  this.connection?.closed();
}
