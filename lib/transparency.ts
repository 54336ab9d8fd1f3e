import type { Config, ListenerConfig, PoolConfig } from './config/config.ts';
import type { SeatKind } from './shard/seat.ts';
import { whyNotTransparent } from './transport/linux/transparency.ts';

/**
 * Rejects with a sentence where a pool is to see the clients' own addresses and that cannot be had: only the transports
 * that call Linux themselves can, only with the capability, and not where Node's sockets are needed for TLS.
 */
export async function checkTransparency(
  { listeners, pools }: Config,
  seats: readonly SeatKind[],
  why: () => Promise<string | null> = whyNotTransparent,
): Promise<void> {
  const pool = pools.find(({ identity }) => identity === 'transparent');
  if (pool === undefined) return;
  const refuse = (sentence: string): never => {
    throw new Error(`pool ${pool.name}: identity transparent ${sentence}`);
  };
  const fast = seats.find(({ transport }) => transport !== 'net');
  if (fast === undefined) refuse('needs the transport io_uring or epoll, and this instance runs on net');
  if (fast?.speaksTls === false) {
    // Said as it is: the log names what this transport lacks.
    if (pool.tls.mode !== 'none')
      refuse('does not go with TLS towards the backends, which is served by net here');
    const terminating = listeners.find(
      listener => serves(listener, pool) && listener.tls.mode !== 'passthrough',
    );
    if (terminating !== undefined)
      refuse(`does not go with listener ${terminating.name}, whose TLS is served by net here`);
  }
  const reason = await why();
  if (reason !== null) refuse(`cannot be had: ${reason}`);
}

function serves({ pool: own, tls }: ListenerConfig, { name }: PoolConfig): boolean {
  return own === name || tls.routes.some(({ pool }) => pool === name);
}
