import type { Socket } from 'node:net';
import { type Address, ipAddress } from '../../core/address.ts';
import { KEEP_ALIVE_IDLE_S } from '../../core/limits.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../contract.ts';
import { SILENT } from '../silent.ts';
import { CLOSED_WITHIN, type TlsFault, type TlsInfo } from '../tls-contract.ts';
import { resetSocket } from './reset.ts';

/** Told of handlers that throw: a fault of ours, which ends one session. */
export type OnHandlerError = (error: unknown) => void;

/** One end of a Unix socket that is bound to no path. */
const NAMELESS: Address = { family: 'unix', path: '' };

const NOTHING = new Uint8Array(0);

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
  ['EADDRINUSE', 'no-ports'], // what `bind` says where a source address has none left
  ['EMFILE', 'no-descriptors'],
  ['ENFILE', 'no-descriptors'],
] as const);

/** A socket that knows its connection, so that listeners are plain functions and not a closure for each event. */
interface OwnedSocket extends Socket {
  connection?: NetConnection;
}

/** One `net.Socket` behind the contract; with TLS, a `tls.TLSSocket` over it. */
export class NetConnection implements Connection {
  handler: ConnectionHandler;
  readonly remote: Address;
  /** What bytes are read from and written to. */
  #socket: OwnedSocket;
  /** What the kernel knows of; the same, unless there is TLS. */
  readonly #plain: OwnedSocket;
  readonly #onHandlerError: OnHandlerError;
  #reason: CloseReason = 'ended';
  #established: boolean;
  /** Takes the bytes that come before a TLS socket can: a client's first ones; see secure.ts. */
  #divert: ((bytes: Uint8Array) => void) | null = null;
  #securing = false;
  #tlsFault: TlsFault | undefined;

  /** `handler`: it is being dialled; null: it was accepted, and whoever accepts it sets one. */
  constructor(
    socket: Socket,
    remote: Address,
    handler: ConnectionHandler | null,
    onHandlerError: OnHandlerError,
  ) {
    this.#socket = this.#plain = socket;
    this.remote = remote;
    this.handler = handler ?? SILENT;
    this.#onHandlerError = onHandlerError;
    // Not `socket.connecting`, which is false already where dialling failed at once.
    this.#established = handler === null;
    if (handler !== null) socket.on('connect', onConnect);
    this.#listen();
  }

  get local(): Address {
    return endpoint(this.#plain.localAddress, this.#plain.localPort) ?? NAMELESS;
  }

  #listen(): void {
    const socket = this.#socket;
    socket.connection = this;
    socket.on('data', onData).on('end', onEnd).on('drain', onDrain).on('error', onError).on('close', onClose);
  }

  /** Nothing is left of it, or soon nothing will be. */
  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  /** False while the kernel and the socket's own buffer are full. */
  get writable(): boolean {
    return !this.#socket.writableNeedDrain;
  }

  get peerEnded(): boolean {
    return this.#socket.readableEnded;
  }

  write(bytes: Uint8Array): boolean {
    return this.#socket.writable ? this.#socket.write(bytes) : true;
  }

  /** Finds out whether the peer is still there, where nothing is read: see flow.ts. */
  probe(): void {
    // Past TLS, which has nothing to say of nothing.
    const plain = this.#plain;
    if (plain.writable && this.#socket.writableLength + plain.writableLength === 0) plain.write(NOTHING);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  keepAlive(): void {
    if (this.remote.family !== 'unix') this.#plain.setKeepAlive(true, KEEP_ALIVE_IDLE_S * 1_000);
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
    if (this.#established && this.remote.family !== 'unix') resetSocket(this.#plain, this.#socket);
    else this.#socket.destroy();
  }

  /** TLS begins; until `adopt`, what is received goes to `divert`. */
  beginSecuring(divert: (bytes: Uint8Array) => void): void {
    this.#securing = true;
    this.#divert = divert;
  }

  /** Puts another socket over this connection's own, which it returns without listeners, stopped. */
  adopt(over: (plain: Socket) => Socket): void {
    const plain = this.#plain;
    this.#divert = null;
    // Errors of the kernel may be told to either.
    plain.off('data', onData).off('end', onEnd).off('drain', onDrain).off('close', onClose);
    this.#socket = over(plain);
    this.#listen();
  }

  secured(info: TlsInfo): void {
    this.#securing = false;
    this.#guard(() => this.handler.onSecure?.(info));
  }

  /**
   * The handshake has failed, unless the peer has simply gone; the first reason counts. TLS that breaks later is as good
   * as a reset.
   */
  tlsFailed(fault: TlsFault): void {
    if (this.#reason !== 'ended') return;
    this.#reason = this.#securing ? 'tls-failed' : 'reset';
    if (this.#securing) this.#tlsFault = fault;
    this.#socket.destroy();
  }

  connected(): void {
    this.#established = true;
    this.#guard(() => this.handler.onConnect());
  }

  received(bytes: Uint8Array): void {
    try {
      if (this.#divert !== null) this.#divert(bytes);
      else this.handler.onBytes(bytes);
    } catch (error) {
      this.#failed(error);
    }
  }

  ended(): void {
    if (this.#securing) return this.tlsFailed(CLOSED_WITHIN);
    this.#guard(() => this.handler.onEnd());
  }

  drained(): void {
    this.#guard(() => this.handler.onDrain());
  }

  failed(error: NodeJS.ErrnoException): void {
    if (this.#reason === 'tls-failed') return;
    this.#reason = this.#established ? 'reset' : (DIALLING_REASONS.get(error.code ?? '') ?? 'failed');
  }

  closed(): void {
    if (this.#securing && this.#reason === 'ended') this.tlsFailed(CLOSED_WITHIN);
    const { handler } = this;
    this.handler = SILENT;
    this.#guard(() => handler.onClose(this.#reason, this.#tlsFault));
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
