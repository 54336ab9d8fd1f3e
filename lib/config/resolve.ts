/** From what the schema parsed to what the program uses: names completed, units written into key names. */
import { hostname } from 'node:os';
import { formatAddress } from '../core/address.ts';
import type {
  BackendAddress,
  BackendConfig,
  CheckConfig,
  Config,
  ListenerConfig,
  PoolConfig,
  RedisConfig,
} from './config.ts';
import { listenerNames } from './names.ts';
import type { ParsedConfig, ParsedListener, ParsedPool } from './schema.ts';
import { isHostName } from './units.ts';

/** The complete configuration. Relations between its parts have been checked by then. */
export function resolve(parsed: ParsedConfig): Config {
  const ownName = isHostName(hostname()) ? hostname() : 'localhost';
  const hostName = parsed.hostName ?? ownName;
  const names = listenerNames(parsed.listeners);
  const { listen, token, socket, hosts, maxConnections } = parsed.admin;
  return {
    instance: parsed.instance ?? ownName.slice(0, 64),
    hostName,
    log: parsed.log,
    admin: { listen: listen === 'off' ? undefined : listen, token, socket, hosts, maxConnections },
    cluster: { name: parsed.cluster.name, redis: redisConfig(parsed.cluster.redis) },
    shards: parsed.shards,
    transport: parsed.transport,
    drainTimeoutMs: parsed.drainTimeout,
    listeners: parsed.listeners.map((listener, at) => listenerConfig(listener, names[at] ?? listener.pool)),
    pools: parsed.pools.map(pool => poolConfig(pool, hostName)),
  };
}

function redisConfig(redis: ParsedConfig['cluster']['redis']): RedisConfig | undefined {
  if (redis === undefined) return undefined;
  if (typeof redis === 'string') return { kind: 'url', url: redis };
  if ('cluster' in redis) return { kind: 'cluster', nodes: redis.cluster };
  return { kind: 'sentinel', ...redis };
}

function listenerConfig(listener: ParsedListener, name: string): ListenerConfig {
  const { connections, rate, ipv6Prefix } = listener.limits.perClient;
  return {
    name,
    listen: Array.isArray(listener.listen) ? listener.listen : [listener.listen],
    pool: listener.pool,
    backlog: listener.backlog,
    proxyProtocol: listener.proxyProtocol,
    clients: listener.clients,
    limits: { connections: listener.limits.connections, perClient: { connections, rate, ipv6Prefix } },
    tls: listener.tls,
    timeouts: {
      proxyHeaderMs: listener.timeouts.proxyHeader,
      handshakeMs: listener.timeouts.handshake,
      idleMs: listener.timeouts.idle,
    },
  };
}

function poolConfig(pool: ParsedPool, hostName: string): PoolConfig {
  const { connect, queue, passiveHealth, sticky, tls } = pool;
  return {
    name: pool.name,
    balance: pool.balance,
    sticky: sticky === undefined ? undefined : { by: sticky.by, ttlMs: sticky.ttl },
    identity: pool.identity,
    connect: {
      timeoutMs: connect.timeout,
      greetingTimeoutMs: connect.greetingTimeout,
      attempts: connect.attempts,
      retryOnGreeting: connect.retryOnGreeting,
    },
    queue: { size: queue.size, timeoutMs: queue.timeout },
    check: checkConfig(pool.check, hostName),
    passiveHealth: {
      failures: passiveHealth.failures,
      pauseMs: passiveHealth.pause,
      maxPauseMs: passiveHealth.maxPause,
    },
    slowStartMs: pool.slowStart,
    tls: { mode: tls.mode, verify: tls.verify ?? true },
    backends: pool.backends.map(backendConfig),
  };
}

function checkConfig(check: ParsedPool['check'], hostName: string): CheckConfig {
  const { interval, timeout, helo = hostName, address, port, starttls, mail, ...rest } = check;
  return {
    ...rest,
    intervalMs: interval,
    timeoutMs: timeout,
    helo,
    address,
    port,
    starttls: starttls && { verify: starttls.verify, serverName: starttls.serverName, ca: starttls.ca },
    mail,
  };
}

function backendConfig(backend: ParsedPool['backends'][number]): BackendConfig {
  const { address, weight, maxConnections, backup } = backend;
  return {
    name: backend.name ?? formatBackendAddress(address),
    address,
    weight,
    maxConnections:
      typeof maxConnections === 'number' ? { count: maxConnections, scope: 'instance' } : maxConnections,
    backup,
  };
}

/** An address as files and logs write it; the name of a backend that was given none. */
export function formatBackendAddress(address: BackendAddress): string {
  return address.family === 'name' ? `${address.host}:${address.port}` : formatAddress(address);
}
