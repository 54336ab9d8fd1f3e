/** Where the kernel keeps what, by processor: the layouts of Linux, for the C libraries glibc and musl alike. */

/** `struct epoll_event`: 32 bits of events, then 64 of ours. In units of 4 octets, as an Int32Array counts. */
export interface EventLayout {
  /** From one event to the next. */
  readonly stride: number;
  /** Where our 64 bits begin within one. */
  readonly data: number;
}

/**
 * On x86-64 the structure is packed (`__attribute__((packed))`: 12 octets), so that 32-bit programs share it; everywhere
 * else the 64 bits are aligned (16 octets). See eventpoll.h of the kernel.
 */
export const EVENT_LAYOUTS: Readonly<Record<string, EventLayout>> = {
  x64: { stride: 3, data: 1 },
  arm64: { stride: 4, data: 2 },
};

/** Names of the C library, the usual one first. */
export function libraryNames(arch: string): readonly string[] {
  const machine = arch === 'x64' ? 'x86_64' : 'aarch64';
  return ['libc.so.6', `libc.musl-${machine}.so.1`, `ld-musl-${machine}.so.1`];
}

/** Events: of epoll(7). `EXCLUSIVE` wakes one of several threads that wait for the same listening socket. */
export const EPOLL = {
  IN: 0x1,
  PRI: 0x2,
  OUT: 0x4,
  ERR: 0x8,
  HUP: 0x10,
  RDHUP: 0x2000,
  EXCLUSIVE: 1 << 28,
  EDGE: 1 << 31,
  ADD: 1,
  DELETE: 2,
  CLOEXEC: 0o2000000,
} as const;

/** Of socket(7), tcp(7), ip(7) and ipv6(7); the same numbers on x86-64 and arm64. */
export const SOCKET = {
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 10,
  STREAM: 1,
  NONBLOCK: 0o4000,
  CLOEXEC: 0o2000000,
  SOL_SOCKET: 1,
  REUSEADDR: 2,
  ERROR: 4,
  KEEPALIVE: 9,
  LINGER: 13,
  REUSEPORT: 15,
  /** SO_MEMINFO: nine 32-bit words, and which of them say what may be queued to send, and what is. See sock_diag.h. */
  MEMORY: { OPTION: 55, OCTETS: 36, UNIX_QUEUED: 2, LIMIT: 3, QUEUED: 5 },
  SOL_TCP: 6,
  TCP_NODELAY: 1,
  TCP_KEEPIDLE: 4,
  TCP_KEEPINTVL: 5,
  TCP_KEEPCNT: 6,
  TCP_USER_TIMEOUT: 18,
  SOL_IP: 0,
  IP_TRANSPARENT: 19,
  IP_BIND_ADDRESS_NO_PORT: 24,
  SOL_IPV6: 41,
  IPV6_V6ONLY: 26,
  IPV6_TRANSPARENT: 75,
  NOSIGNAL: 0x4000,
  SHUT_WR: 1,
  FIONBIO: 0x5421,
  /** F_DUPFD_CLOEXEC of fcntl(2). */
  DUPLICATE_CLOEXEC: 1_030,
  /** F_SETPIPE_SZ of fcntl(2). */
  SET_PIPE_OCTETS: 1_031,
  /** SPLICE_F_MOVE, SPLICE_F_NONBLOCK. */
  SPLICE: 1 | 2,
} as const;

/**
 * The one piece of memory that the kernel reads and writes by address, and what is where in it. Addresses are octets
 * from its beginning.
 */
export const ARENA = {
  /** A socket address, and its length behind it. */
  ADDRESS: 0,
  ADDRESS_OCTETS: 128,
  LENGTH: 128,
  /** One `epoll_event` that is handed in. */
  CONTROL: 192,
  /** The value of a socket option. */
  OPTION: 256,
  /** Events that are handed out. */
  EVENTS: 4_096,
  MAX_EVENTS: 256,
  /** Small pieces that are sent. */
  OUTBOX: 16_384,
  OUTBOX_OCTETS: 16_384,
  /** All that is received lands here first, for every connection of the shard. */
  INBOX: 65_536,
  INBOX_OCTETS: 262_144,
  OCTETS: 65_536 + 262_144,
} as const;
