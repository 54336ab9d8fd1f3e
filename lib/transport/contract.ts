import type { Address, IpAddress } from '../core/address.ts';
import type { TlsClientOptions, TlsFault, TlsInfo, TlsServerOptions } from './tls-contract.ts';

/**
 * A transport is the only thing that touches a socket. Session, handshake, balancer and admission code is written
 * against this file and never knows what is below. Everything happens on one thread, in callbacks, and nothing here
 * throws for what a peer or the operating system does: that ends in `onClose`.
 */
export interface Transport {
  readonly name: 'net' | 'epoll' | 'io_uring';
  /**
   * Rejects with the operating system's error (`code` EADDRINUSE, EACCES ...) where the address cannot be had.
   * `onConnection` is not called for a connection whose peer is not known any more: it could not be admitted.
   */
  listen(
    address: Address,
    options: ListenOptions,
    onConnection: (connection: Connection) => void,
  ): Promise<Listening>;
  /** Dials. The outcome is `onConnect` or `onClose` of `handler`, never before this call has returned. */
  connect(address: Address, handler: ConnectionHandler, options?: DialOptions): Connection;
  /**
   * Takes both connections over for good: bytes, half-closes and resets of one are passed to the other until both are
   * closed. The caller must not touch either again; the relay's `destroy` is the way to end it early.
   */
  relay(first: Connection, second: Connection, handler: RelayHandler): Relay;
  /**
   * The connection as one that `secure` may be called on: the caller uses what is returned from now on, and the other no
   * more. To be asked for before anything has come of it.
   *
   * Undefined where this transport does not speak TLS.
   */
  readonly securable?: (connection: Connection) => Connection;
  /**
   * Begins TLS on an established connection, at once: whatever arrives from now on is the peer's handshake, and nothing
   * that was handed up before is part of it. The outcome is `onSecure` or `onClose('tls-failed')`, never before this call
   * has returned; until then nothing may be written, and only `destroy` and `reset` may be called. Afterwards the
   * connection is used as before, and its bytes are those inside of TLS. There is no deadline but the caller's.
   *
   * Undefined where this transport does not speak TLS.
   */
  readonly secure?: (connection: Connection, options: TlsServerOptions | TlsClientOptions) => void;
}

export interface ListenOptions {
  /** Connections the kernel completes before they are accepted; the kernel has its own upper bound (somaxconn). */
  readonly backlog: number;
  /** A descriptor that listens there already, handed down by whoever started this process. */
  readonly inherited?: number | undefined;
  /**
   * Other shards listen on the same address, each with a socket of its own, and the kernel spreads the clients over
   * them (SO_REUSEPORT). Not for Unix sockets. `net` rejects before Node 23.1.
   */
  readonly shared?: boolean | undefined;
}

export interface DialOptions {
  /**
   * Where the connection is to come from, of the peer's family; port 0: any that is free for this peer. One that this
   * host does not have, or no port left, is `no-ports`. Not for Unix sockets.
   */
  readonly source?: IpAddress | undefined;
  /**
   * `source` is the client's own address, which this host does not have (IP_TRANSPARENT): `not-permitted` without
   * CAP_NET_ADMIN. Not with `net`, where the kernel refuses the address, as `no-ports`.
   */
  readonly transparent?: boolean | undefined;
}

export interface Listening {
  /** With the port that was given where 0 was asked for. */
  readonly address: Address;
  /** What another process can inherit; undefined where the runtime does not tell it. */
  readonly descriptor: number | undefined;
  /**
   * Stops accepting, at once. Accepted connections live on. Resolves when the address is free, unless it was
   * `handedOver` to another process that listens on the same socket.
   */
  close(handedOver?: boolean): Promise<void>;
}

/**
 * Why a connection is over. `ended`: both directions were closed in order. `reset`: the peer sent RST, or the kernel
 * gave up on an established connection. `tls-failed`: the handshake that `secure` began came to nothing. The rest happens
 * while dialling.
 */
export type CloseReason =
  | 'ended'
  | 'reset'
  | 'tls-failed'
  | 'refused'
  | 'unreachable'
  | 'timed-out'
  | 'no-ports'
  | 'no-descriptors'
  | 'not-permitted'
  | 'failed';

/** What a connection tells. A handler that throws ends its connection and is reported, nothing else. */
export interface ConnectionHandler {
  /** A dialled connection is established. */
  onConnect(): void;
  /** The view is valid during the call only: who wants to keep some copies it. */
  onBytes(bytes: Uint8Array): void;
  /** The peer has closed its direction; ours is still open. */
  onEnd(): void;
  /** A connection that did not accept more (`write` said false) has room again. */
  onDrain(): void;
  /** TLS is in force: the handshake that `secure` began is whole. */
  onSecure?(info: TlsInfo): void;
  /** The last call, made once; not made after our own `destroy` or `reset`. `fault` comes with `tls-failed`. */
  onClose(reason: CloseReason, fault?: TlsFault): void;
}

export interface Connection {
  /** Who is told. May be exchanged at any time; set it before returning from `onConnection`. */
  handler: ConnectionHandler;
  /** The peer's address; a client on a Unix socket has an empty path. */
  readonly remote: Address;
  readonly local: Address;
  /** The peer has closed its direction, and all that it sent has been handed up. */
  readonly peerEnded: boolean;
  /**
   * Sends bytes, all of them, in order. False means: it is kept, but wait for `onDrain` before the next.
   * The bytes must not change afterwards, unless they are a view that `onBytes` of this transport handed up.
   */
  write(bytes: Uint8Array): boolean;
  /** No `onBytes` and no `onEnd` until `resume`. */
  pause(): void;
  resume(): void;
  /**
   * It has lasted: from now on the kernel asks a silent peer whether it is still there, and gives up one that does not
   * answer (`reset`). Short sessions do without the system calls for it. May be called again.
   */
  keepAlive(): void;
  /** Closes our direction after all that was written. The peer's bytes still come. */
  end(): void;
  /** Closes both directions now; what was written and is not yet in the kernel is dropped. */
  destroy(): void;
  /** As `destroy`, with RST to the peer. */
  reset(): void;
}

/**
 * How a relay ended. With `first-reset` the first connection was reset, and the second was then reset by us. A reset by
 * a peer whose other side had ended already is passed on as well, but counts as `ended`.
 */
export type RelayEnd = 'ended' | 'first-reset' | 'second-reset';

export interface RelayHandler {
  /** Both connections are closed. Called once; not after `destroy`. */
  onRelayEnd(end: RelayEnd): void;
}

export interface Relay {
  /** Bytes read from the first connection and given to the second, and the other way. */
  readonly bytesFromFirst: number;
  readonly bytesFromSecond: number;
  /** `keepAlive` of both connections. */
  keepAlive(): void;
  /** Closes both connections now. */
  destroy(): void;
}
