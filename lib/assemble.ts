import { lookup } from 'node:dns/promises';
import type { BackendAddress, BackendConfig, Config, ListenerConfig, PoolConfig } from './config/config.ts';
import { type Address, ipAddress } from './core/address.ts';
import { MAX_BACKENDS, MAX_LISTENERS, MAX_POOLS } from './core/limits.ts';
import type { BackendSnapshot, PoolSnapshot } from './pool/snapshot.ts';
import type { ListenerSnapshot } from './session/snapshot.ts';
import type { ShardSnapshot } from './shard/snapshot.ts';

/** Gives out rows of the board by name: the same name, the same row, for as long as the process lives. */
export interface Rows {
  listener(name: string): number;
  pool(name: string): number;
  backend(pool: string, name: string): number;
}

export function createRows(): Rows {
  const table = (what: string, size: number) => {
    const rows = new Map<string, number>();
    return (name: string): number => {
      const row = rows.get(name) ?? rows.size;
      if (row >= size) throw new Error(`there can be at most ${size} ${what}`);
      rows.set(name, row);
      return row;
    };
  };
  const backends = table('backends', MAX_BACKENDS);
  return {
    listener: table('listeners', MAX_LISTENERS),
    pool: table('pools', MAX_POOLS),
    backend: (pool, name) => backends(`${pool}/${name}`),
  };
}

/**
 * What the shards are to do, from what the operator wrote. Names of backends are resolved here and not while mail
 * waits. Rejects with a sentence that names the backend whose name has no address.
 */
export async function assemble(config: Config, rows: Rows, descriptors: number): Promise<ShardSnapshot> {
  return {
    hostName: config.hostName,
    descriptors,
    records: config.log.access,
    listeners: config.listeners.map(listener => listenerSnapshot(listener, rows)),
    pools: await Promise.all(config.pools.map(pool => poolSnapshot(pool, rows))),
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

async function poolSnapshot(pool: PoolConfig, rows: Rows): Promise<PoolSnapshot> {
  const { identity } = pool;
  if (identity === 'xclient' || identity === 'transparent')
    throw new Error(`identity ${identity} is not supported yet`);
  return {
    row: rows.pool(pool.name),
    name: pool.name,
    balance: pool.balance,
    identity,
    connect: pool.connect,
    queue: pool.queue,
    passiveHealth: pool.passiveHealth,
    backends: await Promise.all(pool.backends.map(backend => backendSnapshot(backend, pool.name, rows))),
  };
}

async function backendSnapshot(backend: BackendConfig, pool: string, rows: Rows): Promise<BackendSnapshot> {
  return {
    row: rows.backend(pool, backend.name),
    name: backend.name,
    address: await resolved(backend.address, `${pool}/${backend.name}`),
    weight: backend.weight,
    maxConnections: backend.maxConnections?.count ?? Number.POSITIVE_INFINITY,
    backup: backend.backup,
    health: 'up',
    admin: 'ready',
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
