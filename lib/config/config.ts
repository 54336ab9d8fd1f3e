/**
 * The configuration as the rest of the program sees it: complete (every default filled in), parsed (addresses,
 * networks, milliseconds) and read-only. It is plain data, so that two of them can be compared on reload.
 * Only the composition root and reload know the whole; every other module takes its own options.
 */
import type { Address, HostPort, IpAddress } from '../core/address.ts';
import type { TransportName } from '../transport/fast.ts';

/** An endpoint given by host name; it is resolved when the program starts, not when the file is read. */
export interface NamedAddress {
  readonly family: 'name';
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** Where a backend is: a literal IP endpoint, a Unix socket, or a name still to be resolved. */
export type BackendAddress = Address | NamedAddress;

/** A network in CIDR notation. Bits of `host` beyond `prefix` are zero; v4-mapped networks are IPv4 ones. */
export interface Network {
  readonly family: 'ipv4' | 'ipv6';
  readonly host: string;
  /** 0 to 32, or 0 to 128. */
  readonly prefix: number;
}

/** At most `count` events in any `perMs` milliseconds. */
export interface Rate {
  readonly count: number;
  readonly perMs: number;
}

/** TLS towards Redis. */
export interface RedisTlsConfig {
  /** Paths of PEM files. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly verify: boolean;
  readonly serverName: string | undefined;
}

interface RedisCommon {
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Undefined: no TLS, or as the URL says. */
  readonly tls: RedisTlsConfig | undefined;
}

/** How to reach Redis; undefined in `Config` where the cluster is this instance alone. */
export type RedisConfig = RedisCommon &
  (
    | { readonly kind: 'url'; readonly url: string }
    | {
        readonly kind: 'sentinel';
        readonly sentinels: readonly HostPort[];
        readonly master: string;
        readonly sentinelUsername: string | undefined;
        readonly sentinelPassword: string | undefined;
        readonly database: number;
      }
    | { readonly kind: 'cluster'; readonly nodes: readonly HostPort[] }
  );

export type TlsVersion = '1.2' | '1.3';

export interface Certificate {
  /** Path of the PEM file with the certificate and its chain. */
  readonly cert: string;
  /** Path of the PEM file with the private key. */
  readonly key: string;
}

export interface ListenerTlsConfig {
  readonly mode: 'passthrough' | 'starttls' | 'implicit';
  readonly required: boolean;
  /** At least one unless `mode` is passthrough, where there is none. */
  readonly certificates: readonly Certificate[];
  readonly minVersion: TlsVersion;
  /** An OpenSSL cipher list; undefined: Mozilla's intermediate profile. */
  readonly ciphers: string | undefined;
  /** Undefined: clients are not asked. `ca` is the path of a PEM file. */
  readonly clientCertificates: { readonly ca: string; readonly required: boolean } | undefined;
  /** Only with mode passthrough. */
  readonly routeBy: 'server-name' | undefined;
  /** Names are lower case, perhaps with a star for the first label; pools exist. */
  readonly routes: readonly { readonly names: readonly string[]; readonly pool: string }[];
  /** With `routeBy`: EHLO keywords before STARTTLS. */
  readonly capabilities: readonly string[];
}

export interface ListenerConfig {
  /** Unique among listeners. */
  readonly name: string;
  /** At least one; no address is listened on twice. */
  readonly listen: readonly Address[];
  /** Name of a pool that exists. */
  readonly pool: string;
  readonly backlog: number;
  /** Undefined: no PROXY header is expected. Otherwise at least one network. */
  readonly proxyProtocol: { readonly from: readonly Network[] } | undefined;
  /** `deny` is looked at first; an empty `allow` lets everybody else in. */
  readonly clients: { readonly allow: readonly Network[]; readonly deny: readonly Network[] };
  /** Undefined members are unlimited. */
  readonly limits: {
    readonly connections: number | undefined;
    readonly perClient: {
      readonly connections: number | undefined;
      readonly rate: Rate | undefined;
      /** Bits of an IPv6 address that make one client. */
      readonly ipv6Prefix: number;
      /** Whose sessions count. */
      readonly scope: 'instance' | 'cluster';
    };
  };
  readonly tls: ListenerTlsConfig;
  readonly timeouts: {
    readonly proxyHeaderMs: number;
    readonly handshakeMs: number;
    readonly idleMs: number;
  };
}

/** How many sessions a backend takes, counted over this instance or over the whole cluster. */
export interface MaxConnections {
  readonly count: number;
  readonly scope: 'instance' | 'cluster';
}

export interface BackendConfig {
  /** Unique in its pool. */
  readonly name: string;
  readonly address: BackendAddress;
  /** 1 to 256. */
  readonly weight: number;
  /** Undefined: no limit. */
  readonly maxConnections: MaxConnections | undefined;
  readonly backup: boolean;
}

export type Balance = 'least-connections' | 'round-robin' | 'source-hash';
export type Identity = 'none' | 'proxy-v1' | 'proxy-v2' | 'xclient' | 'transparent';

export interface CheckConfig {
  readonly type: 'none' | 'tcp' | 'smtp';
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Good results in a row that bring a backend up. */
  readonly rise: number;
  /** Bad results in a row that take it down. */
  readonly fall: number;
  /** The name a check gives in EHLO. */
  readonly helo: string;
  /** Undefined: the backend's own. */
  readonly address: string | undefined;
  readonly port: number | undefined;
  /** Whether checks open with the header that `identity` asks for. */
  readonly proxyHeader: boolean;
  /** Undefined: checks do without TLS. Always so unless `type` is smtp. */
  readonly starttls:
    | {
        readonly verify: boolean;
        /** Undefined: the backend's name, or its address. */
        readonly serverName: string | undefined;
        /** Path of a PEM file; undefined: the authorities Node knows. */
        readonly ca: string | undefined;
      }
    | undefined;
  /** Undefined: checks begin no transaction. Always so unless `type` is smtp. */
  readonly mail: { readonly from: string; readonly to: string } | undefined;
  /** Instances of the cluster that check; undefined: all. */
  readonly instances: number | undefined;
}

export interface StickyConfig {
  readonly by: 'client-address' | 'client-network' | 'server-name' | 'hello-name';
  readonly ttlMs: number;
  /** How long a session waits for the cluster's answer. */
  readonly timeoutMs: number;
  readonly ipv4Prefix: number;
  readonly ipv6Prefix: number;
}

export interface PoolTlsConfig {
  readonly mode: 'none' | 'may' | 'starttls' | 'implicit';
  readonly verify: boolean;
  /** Path of a PEM file; undefined: the authorities Node knows. */
  readonly ca: string | undefined;
  /** Undefined: the backend's name, or its address. */
  readonly serverName: string | undefined;
  /** SHA-256 of the certificates trusted, 64 lower-case hexadecimal digits each; empty: decided by `verify`. */
  readonly fingerprints: readonly string[];
  readonly certificate: Certificate | undefined;
  readonly minVersion: TlsVersion;
}

export interface WarmConfig {
  /** For each backend, over all shards; above 0. */
  readonly size: number;
  readonly maxAgeMs: number;
}

export interface PoolConfig {
  /** Unique among pools. */
  readonly name: string;
  readonly balance: Balance;
  readonly sticky: StickyConfig | undefined;
  readonly identity: Identity;
  /** With identity xclient: whether a backend that does not offer it is left for another. */
  readonly xclient: { readonly required: boolean };
  /** Addresses (port 0) to connect from, in turn; empty leaves it to the kernel. */
  readonly source: readonly IpAddress[];
  /** Connections to each backend that are opened ahead of clients; undefined: none. */
  readonly warm: WarmConfig | undefined;
  readonly connect: {
    readonly timeoutMs: number;
    readonly greetingTimeoutMs: number;
    /** Backends tried for one session, the first one included. */
    readonly attempts: number;
    /** Greeting codes (400 to 599) after which another backend is tried instead of passing the greeting on. */
    readonly retryOnGreeting: readonly number[];
  };
  /** `size` 0: nobody waits. */
  readonly queue: { readonly size: number; readonly timeoutMs: number };
  readonly check: CheckConfig;
  /** `pauseMs` is at most `maxPauseMs`. */
  readonly passiveHealth: {
    readonly failures: number;
    readonly pauseMs: number;
    readonly maxPauseMs: number;
  };
  /** 0: a backend that returns gets its full share at once. */
  readonly slowStartMs: number;
  readonly tls: PoolTlsConfig;
  /** At least one. */
  readonly backends: readonly BackendConfig[];
}

export interface Config {
  readonly instance: string;
  /** The name spoken in 421 and 554 replies and in EHLO. */
  readonly hostName: string;
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly access: boolean };
  readonly admin: {
    /** Undefined: no admin listener on TCP. */
    readonly listen: Address | undefined;
    readonly token: string | undefined;
    readonly socket: string | undefined;
    /** Names by which browsers may call the page and the API, beside addresses and `hostName`. */
    readonly hosts: readonly string[];
    readonly maxConnections: number;
  };
  readonly cluster: { readonly name: string; readonly redis: RedisConfig | undefined };
  readonly shards: number | 'auto';
  readonly transport: 'auto' | TransportName;
  /** How long sessions may go on after TERM. */
  readonly drainTimeoutMs: number;
  readonly listeners: readonly ListenerConfig[];
  readonly pools: readonly PoolConfig[];
}
