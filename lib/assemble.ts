import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { hasClientLimits } from './admission/client-limits.ts';
import type { CheckConfig, Config, ListenerConfig, PoolConfig, PoolTlsConfig } from './config/config.ts';
import { type Address, type IpAddress, ipAddress } from './core/address.ts';
import { type CheckedBackend, checkAddress, type StarttlsOptions } from './health/options.ts';
import type { AdminState, Health, PoolSnapshot, PoolTls } from './pool/snapshot.ts';
import { hostOf, type PoolTlsTexts } from './pool-tls.ts';
import type { Rows } from './rows.ts';
import type { ListenerSnapshot } from './session/snapshot.ts';
import type { ShardSnapshot } from './shard/snapshot.ts';
import type { TlsSnapshot } from './tls/listener-tls.ts';

/** Where a backend is, its names resolved. */
export interface BackendPlace {
  readonly address: Address;
  /** Where it is checked. */
  readonly checkAddress: Address;
}

/** By pool and backend name. */
export type BackendPlaces = ReadonlyMap<string, ReadonlyMap<string, BackendPlace>>;

/** What is known of a backend beyond its configuration. */
export interface BackendState {
  readonly health: Health;
  readonly admin: AdminState;
  /** The operator's weight, or null for the configuration's. */
  readonly weight: number | null;
}

/** How a listener ends TLS; null where it passes it through. */
export type TlsOf = (listener: ListenerConfig) => TlsSnapshot | null;

export type StateOf = (pool: string, backend: string) => BackendState;

/**
 * Resolves the names among the backends' addresses, once, and not while mail waits. Rejects with a sentence that
 * names the backend whose name has no address.
 */
export async function resolveBackends(config: Config): Promise<BackendPlaces> {
  const resolvePool = async ({
    name,
    check,
    backends,
  }: PoolConfig): Promise<[string, Map<string, BackendPlace>]> => {
    const found = backends.map(async (backend): Promise<[string, BackendPlace]> => {
      const who = `${name}/${backend.name}`;
      const { address: own } = backend;
      const address = own.family === 'name' ? await lookUp(own.host, own.port, who) : own;
      const host =
        check.address === undefined ? undefined : await lookUp(check.address, 0, `${who} (check.address)`);
      return [backend.name, { address, checkAddress: checkAddress(address, host, check.port) }];
    });
    return [name, new Map(await Promise.all(found))];
  };
  return new Map(await Promise.all(config.pools.map(resolvePool)));
}

/** What is to be checked, and how. */
export function checkedBackends(
  config: Config,
  places: BackendPlaces,
  texts: PoolTlsTexts,
): CheckedBackend[] {
  return config.pools.flatMap(({ name: pool, check, backends, identity, source, tls }) =>
    backends.map(({ name: backend, address }) => {
      const wanted = checkTls(check, tls, texts.get(pool));
      // A certificate is made out to a name: the one the check goes to, or else the backend's own.
      const named = [check.address, address.family === 'name' ? address.host : undefined].find(
        host => host !== undefined && isIP(host) === 0,
      );
      const { serverName = named } = wanted ?? {};
      const place = placeOf(places, pool, backend).checkAddress;
      return {
        pool,
        backend,
        address: place,
        source: source.find(({ family }) => family === place.family)?.host,
        check: { ...check, starttls: wanted && { ...wanted, serverName } },
        anonymous: identity === 'none' && check.address === undefined && check.port === undefined,
        identity:
          check.proxyHeader && (identity === 'proxy-v1' || identity === 'proxy-v2') ? identity : 'none',
      };
    }),
  );
}

/**
 * TLS as sessions speak it with the pool's backends, unless the check has settings of its own, or goes to another port.
 * Where TLS `may` be, a backend without is well.
 */
function checkTls(
  check: CheckConfig,
  { serverName }: PoolTlsConfig,
  tls: PoolTls | undefined,
): StarttlsOptions | undefined {
  if (check.starttls !== undefined || check.type !== 'smtp' || check.port !== undefined)
    return check.starttls;
  if (tls === undefined || tls.mode === 'may') return undefined;
  return {
    implicit: tls.mode === 'implicit',
    verify: tls.verify,
    serverName,
    ca: undefined,
    asSessions: tls,
  };
}

/** What the shards are to do: the operator's file, and what checks and the operator have said since. */
export function assemble(
  config: Config,
  places: BackendPlaces,
  tls: PoolTlsTexts,
  rows: Rows,
  stateOf: StateOf,
  tlsOf: TlsOf,
): ShardSnapshot {
  return {
    hostName: config.hostName,
    records: config.log.access,
    listeners: config.listeners.map(listener => listenerSnapshot(listener, rows, tlsOf)),
    pools: config.pools.map(pool => poolSnapshot(pool, places, tls, rows, stateOf)),
  };
}

function listenerSnapshot(listener: ListenerConfig, rows: Rows, tlsOf: TlsOf): ListenerSnapshot {
  const { clients, limits } = listener;
  const perClient = {
    connections: limits.perClient.connections ?? Number.POSITIVE_INFINITY,
    rate: limits.perClient.rate ?? null,
    ipv6Prefix: limits.perClient.ipv6Prefix,
  };
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
      perClient: { ...perClient, table: rows.clientTable(listener.name, hasClientLimits(perClient)) },
    },
    tls: tlsOf(listener),
    routing:
      listener.tls.routeBy === undefined
        ? null
        : { routes: listener.tls.routes, capabilities: listener.tls.capabilities },
    timeouts: listener.timeouts,
  };
}

function poolSnapshot(
  pool: PoolConfig,
  places: BackendPlaces,
  tls: PoolTlsTexts,
  rows: Rows,
  stateOf: StateOf,
): PoolSnapshot {
  const { identity, name } = pool;
  return {
    row: rows.pool(name),
    name,
    balance: pool.balance,
    identity,
    source: pool.source,
    xclientRequired: pool.xclient.required,
    tls: tls.get(name) ?? null,
    connect: pool.connect,
    queue: pool.queue,
    passiveHealth: pool.passiveHealth,
    slowStartMs: pool.slowStartMs,
    sticky: pool.sticky,
    warm: pool.warm,
    backends: pool.backends.map(backend => {
      const { health, admin, weight } = stateOf(name, backend.name);
      return {
        row: rows.backend(name, backend.name),
        name: backend.name,
        address: placeOf(places, name, backend.name).address,
        tlsName: pool.tls.serverName ?? hostOf(backend.address),
        weight: weight ?? backend.weight,
        maxConnections: backend.maxConnections?.count ?? Number.POSITIVE_INFINITY,
        backup: backend.backup,
        health,
        admin,
      };
    }),
  };
}

function placeOf(places: BackendPlaces, pool: string, backend: string): BackendPlace {
  return places.get(pool)?.get(backend) as BackendPlace;
}

async function lookUp(host: string, port: number, backend: string): Promise<IpAddress> {
  try {
    const found = await lookup(host);
    const ip = ipAddress(found.address, port);
    if (ip !== undefined) return ip;
  } catch {
    // Said below, in the operator's words.
  }
  throw new Error(
    `backend ${backend}: the name ${host} has no address; check it, or write the address itself`,
  );
}
