import type { Address, IpAddress } from '../core/address.ts';

/**
 * What the data plane knows of a pool: plain values, made by the control plane and replaced as a whole when anything
 * changes. They can be sent to another thread as they are.
 */
export interface PoolSnapshot {
  /** The pool's row on the board and in the counter tables. */
  readonly row: number;
  readonly name: string;
  readonly balance: 'least-connections' | 'round-robin' | 'source-hash';
  readonly identity: 'none' | 'proxy-v1' | 'proxy-v2' | 'xclient' | 'transparent';
  /** Addresses of this host (port 0) that connections come from, in turn; empty leaves it to the kernel. */
  readonly source: readonly IpAddress[];
  /** With identity xclient: whether a backend that does not offer it is left for another. */
  readonly xclientRequired: boolean;
  /** Null: no TLS of ours towards the backends. */
  readonly tls: PoolTls | null;
  readonly connect: ConnectOptions;
  readonly queue: { readonly size: number; readonly timeoutMs: number };
  readonly passiveHealth: PassiveHealthOptions;
  /** Milliseconds over which a backend that has come back gets its full share; 0 for at once. */
  readonly slowStartMs: number;
  /** Undefined where clients are not remembered. */
  readonly sticky?: StickyOptions | undefined;
  /** Undefined where no connections are opened ahead of clients. */
  readonly warm?: WarmOptions | undefined;
  readonly backends: readonly BackendSnapshot[];
}

/** Connections that are opened ahead of clients. */
export interface WarmOptions {
  /** For each backend: over all shards, and in a shard's own snapshot that shard's part. */
  readonly size: number;
  /** From the greeting to their renewal at the latest. */
  readonly maxAgeMs: number;
}

/** How a client is sent to the backend that served it before. */
export interface StickyOptions {
  readonly by: 'client-address' | 'client-network' | 'server-name' | 'hello-name';
  /** From its last session. */
  readonly ttlMs: number;
  /** How long a session waits to hear which backend that was. */
  readonly timeoutMs: number;
  /** Bits of an address that make a network. */
  readonly ipv4Prefix: number;
  readonly ipv6Prefix: number;
}

export interface ConnectOptions {
  /** From SYN to established, for each backend tried. */
  readonly timeoutMs: number;
  /** From established to the first whole line of the greeting that the client sees: TLS and XCLIENT included. */
  readonly greetingTimeoutMs: number;
  /** Backends tried for one session, the first included. */
  readonly attempts: number;
  /** Greeting codes (4xx, 5xx) that lead to another backend instead of the client. */
  readonly retryOnGreeting: readonly number[];
}

/** TLS towards the backends of a pool; files have been read, so that all is plain text. */
export interface PoolTls {
  /** `may`: STARTTLS where it is offered and works, plaintext where not. */
  readonly mode: 'may' | 'starttls' | 'implicit';
  /** Whether a certificate must be valid for the backend's `tlsName`; not looked at where there are fingerprints. */
  readonly verify: boolean;
  /** PEM; null: the authorities Node knows. */
  readonly ca: string | null;
  /** SHA-256 of certificates or of their public keys, in lower-case hexadecimal: these are trusted, and no others. */
  readonly fingerprints: readonly string[];
  /** PEM: a certificate of our own with its chain, and its key. */
  readonly certificate: { readonly cert: string; readonly key: string } | null;
  readonly minVersion: '1.2' | '1.3';
}

export interface PassiveHealthOptions {
  /** Failures in a row after which a backend is left alone. */
  readonly failures: number;
  /** The first pause; each further one is twice as long, up to `maxPauseMs`. */
  readonly pauseMs: number;
  readonly maxPauseMs: number;
}

/** What checks say of a backend; without checks it is up. */
export type Health = 'up' | 'down';

/** What the operator says of a backend, apart from its health. */
export type AdminState = 'ready' | 'drain' | 'maint';

export interface BackendSnapshot {
  /** The backend's row on the board and in the counter tables. */
  readonly row: number;
  readonly name: string;
  readonly address: Address;
  /** What its certificate must be valid for, and what is sent as server name: a name, or an address. */
  readonly tlsName: string;
  /** 1 to 256; twice the weight, twice the sessions. */
  readonly weight: number;
  /** Slots; Infinity where the configuration names no bound. */
  readonly maxConnections: number;
  /** Serves only while no other backend of the pool can. */
  readonly backup: boolean;
  readonly health: Health;
  readonly admin: AdminState;
}
