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

/** For a socket that dials, or for one that listens, whose connections have them from birth. */
export function setTcpOptions(
  libc: Libc,
  descriptor: number,
  { keepAliveIdleS, userTimeoutMs }: TcpOptions,
): void {
  // Small replies must not wait for the peer's ACK.
  libc.setOption(descriptor, SOCKET.SOL_TCP, SOCKET.TCP_NODELAY, 1);
  if (keepAliveIdleS > 0) {
    libc.setOption(descriptor, SOCKET.SOL_SOCKET, SOCKET.KEEPALIVE, 1);
    libc.setOption(descriptor, SOCKET.SOL_TCP, SOCKET.TCP_KEEPIDLE, keepAliveIdleS);
  }
  if (userTimeoutMs > 0) libc.setOption(descriptor, SOCKET.SOL_TCP, SOCKET.TCP_USER_TIMEOUT, userTimeoutMs);
}
