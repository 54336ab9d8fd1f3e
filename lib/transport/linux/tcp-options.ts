import { KEEP_ALIVE_IDLE_S, TCP_USER_TIMEOUT_MS } from '../../core/limits.ts';
import { SOCKET } from './layout.ts';
import type { Libc } from './libc.ts';

/** How dead peers are noticed while nobody speaks, or nobody listens. */
export interface TcpOptions {
  /** Seconds of silence until the kernel asks whether the peer is still there; 0: it never does. */
  readonly keepAliveIdleS: number;
  /** Milliseconds that sent bytes may stay unacknowledged; 0: as the system is set. */
  readonly userTimeoutMs: number;
}

export const TCP_DEFAULTS: TcpOptions = {
  keepAliveIdleS: KEEP_ALIVE_IDLE_S,
  userTimeoutMs: TCP_USER_TIMEOUT_MS,
};

/** Small replies must not wait for the peer's ACK. Connections have it from the socket that listened. */
export function setNoDelay(libc: Libc, descriptor: number): void {
  libc.setOption(descriptor, SOCKET.SOL_TCP, SOCKET.TCP_NODELAY, 1);
}

/** For a connection, or for a socket that listens, whose connections have them from birth. */
export function setKeepAlive(
  libc: Libc,
  descriptor: number,
  { keepAliveIdleS, userTimeoutMs }: TcpOptions,
): void {
  if (keepAliveIdleS > 0) {
    libc.setOption(descriptor, SOCKET.SOL_SOCKET, SOCKET.KEEPALIVE, 1);
    libc.setOption(descriptor, SOCKET.SOL_TCP, SOCKET.TCP_KEEPIDLE, keepAliveIdleS);
  }
  if (userTimeoutMs > 0) libc.setOption(descriptor, SOCKET.SOL_TCP, SOCKET.TCP_USER_TIMEOUT, userTimeoutMs);
}
