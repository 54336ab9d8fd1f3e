import { lookup } from 'node:dns/promises';
import type { BackendAddress, Config, ListenerConfig, PoolConfig } from './config/config.ts';
import { type Address, ipAddress } from './core/address.ts';
import type { AdminState, Health, PoolSnapshot } from './pool/snapshot.ts';
import type { Rows } from './rows.ts';
import type { ListenerSnapshot } from './session/snapshot.ts';
import type { ShardSnapshot } from './shard/snapshot.ts';

/** Addresses of the backends, by pool and backend name. */
export type BackendAddresses = ReadonlyMap<string, ReadonlyMap<string, Address>>;

/** What is known of a backend beyond its configuration. */
export interface BackendState {
  readonly health: Health;
  readonly admin: AdminState;
  /** The operator's weight, or null for the configuration's. */
  readonly weight: number | null;
}

export type StateOf = (pool: string, backend: string) => BackendState;

/**
 * Resolves the names among the backends' addresses, once, and not while mail waits. Rejects with a sentence that
 * names the backend whose name has no address.
 */
export async function resolveBackends(config: Config): Promise<BackendAddresses> {
  const resolvePool = async (pool: PoolConfig): Promise<[string, Map<string, Address>]> => {
    const found = pool.backends.map(
      async ({ name, address }): Promise<[string, Address]> => [
        name,
        await resolved(address, `${pool.name}/${name}`),
      ],
    );
    return [pool.name, new Map(await Promise.all(found))];
  };
  return new Map(await Promise.all(config.pools.map(resolvePool)));
}

/** What the shards are to do: the operator's file, and what checks and the operator have said since. */
export function assemble(
  config: Config,
  addresses: BackendAddresses,
  rows: Rows,
  stateOf: StateOf,
): ShardSnapshot {
  return {
    hostName: config.hostName,
    records: config.log.access,
    listeners: config.listeners.map(listener => listenerSnapshot(listener, rows)),
    pools: config.pools.map(pool => poolSnapshot(pool, addresses, rows, stateOf)),
  };
}

function listenerSnapshot(listener: ListenerConfig, rows: Rows): ListenerSnapshot {
  const { clients, limits } = listener;
  return {
    row: rows.listener(listener.name),
    name: listener.name,
    addresses: listener.listen,
    backlog: listener.backlog,
    pool: listener.pool,
    proxyFrom: listener.proxyProtocol?.from ?? [],
    admission: {
      allow: clients.allow,
      deny: clients.deny,
      connections: limits.connections ?? Number.POSITIVE_INFINITY,
      perClient: {
        connections: limits.perClient.connections ?? Number.POSITIVE_INFINITY,
        rate: limits.perClient.rate ?? null,
        ipv6Prefix: limits.perClient.ipv6Prefix,
      },
    },
    timeouts: listener.timeouts,
  };
}

function poolSnapshot(
  pool: PoolConfig,
  addresses: BackendAddresses,
  rows: Rows,
  stateOf: StateOf,
): PoolSnapshot {
  const { identity, name } = pool;
  // Refused by name before it comes to this; see config/unsupported.ts.
  if (identity === 'xclient' || identity === 'transparent')
    throw new Error(`identity ${identity} is not supported yet`);
  return {
    row: rows.pool(name),
    name,
    balance: pool.balance,
    identity,
    connect: pool.connect,
    queue: pool.queue,
    passiveHealth: pool.passiveHealth,
    slowStartMs: pool.slowStartMs,
    backends: pool.backends.map(backend => {
      const { health, admin, weight } = stateOf(name, backend.name);
      return {
        row: rows.backend(name, backend.name),
        name: backend.name,
        address: addresses.get(name)?.get(backend.name) as Address,
        weight: weight ?? backend.weight,
        maxConnections: backend.maxConnections?.count ?? Number.POSITIVE_INFINITY,
        backup: backend.backup,
        health,
        admin,
      };
    }),
  };
}

async function resolved(address: BackendAddress, backend: string): Promise<Address> {
  if (address.family !== 'name') return address;
  try {
    const found = await lookup(address.host);
    const ip = ipAddress(found.address, address.port);
    if (ip !== undefined) return ip;
  } catch {
    // Said below, in the operator's words.
  }
  throw new Error(
    `backend ${backend}: the name ${address.host} has no address; check it, or write the address itself`,
  );
}
