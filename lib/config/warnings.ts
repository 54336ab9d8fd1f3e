/** What a configuration may say and an operator should think about twice. */
import { isIP } from 'node:net';
import type { Address } from '../core/address.ts';
import type { Config, PoolConfig } from './config.ts';

export interface Warning {
  /** `pools[0].identity` */
  readonly path: string;
  /** A sentence. */
  readonly text: string;
}

/** Everything worth a warning, in the order of the pools. */
export function warnings(config: Config): Warning[] {
  return config.pools.flatMap((pool, at) => [
    ...openRelay(config, pool, `pools[${at}].identity`),
    ...withoutStarttls(config, pool, `pools[${at}].identity`),
  ]);
}

/**
 * Clients of a backend that is told by XCLIENT who they are must not go where nobody can guard them: into TLS between
 * them and the backend. So STARTTLS is not for them, unless it ends here.
 */
function withoutStarttls(config: Config, { identity, name }: PoolConfig, path: string): Warning[] {
  if (identity !== 'xclient') return [];
  const blind = config.listeners.filter(({ pool, tls }) => pool === name && tls.mode === 'passthrough');
  if (blind.length === 0) return [];
  const text =
    `identity is xclient: STARTTLS is neither offered to clients of ${blind.map(listener => listener.name).join(', ')} ` +
    'nor passed on, because a client inside of TLS could say XCLIENT itself; let the listener end TLS (tls.mode starttls)';
  return [{ path, text }];
}

/**
 * Pools whose backends cannot tell clients apart, behind listeners that let everybody in: a backend that trusts
 * the address of its peer then relays mail for all of them. Listeners that only this machine reaches do not count.
 */
function openRelay(config: Config, pool: PoolConfig, path: string): Warning[] {
  if (pool.identity !== 'none') return [];
  const open = config.listeners.filter(
    ({ pool: name, clients, listen }) =>
      name === pool.name && clients.allow.length === 0 && !listen.every(isLocal),
  );
  if (open.length === 0) return [];
  const names = open.map(({ name }) => name).join(', ');
  const text =
    'identity is none: the backends see the address of smtplb instead of the client, and one that trusts it is ' +
    `an open relay for whoever connects to ${names}; use proxy-v2, or list the clients in clients.allow`;
  return [{ path, text }];
}

function isLocal(address: Address): boolean {
  if (address.family === 'unix') return true;
  return isIP(address.host) === 4 ? address.host.startsWith('127.') : address.host === '::1';
}
