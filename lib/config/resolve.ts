/** From what the schema parsed to what the program uses: names completed, units written into key names. */
import { hostname } from 'node:os';
import { formatAddress } from '../core/address.ts';
import type {
  BackendAddress,
  BackendConfig,
  CheckConfig,
  Config,
  ListenerConfig,
  ListenerTlsConfig,
  PoolConfig,
  PoolTlsConfig,
  RedisConfig,
  RedisTlsConfig,
  StickyConfig,
  WarmConfig,
} from './config.ts';
import { listenerNames } from './names.ts';
import { WARM_MAX_AGE_MS } from './pool-schema.ts';
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

type RedisTls = Exclude<ParsedConfig['cluster']['redis'], string | undefined>['tls'];

function redisConfig(redis: ParsedConfig['cluster']['redis']): RedisConfig | undefined {
  if (redis === undefined) return undefined;
  if (typeof redis === 'string')
    return { kind: 'url', url: redis, username: undefined, password: undefined, tls: undefined };
  const { username, password } = redis;
  const common = { username, password, tls: redisTls(redis.tls) };
  if ('url' in redis) return { kind: 'url', url: redis.url, ...common };
  if ('cluster' in redis) return { kind: 'cluster', nodes: redis.cluster, ...common };
  const { sentinels, master, sentinelUsername, sentinelPassword, database } = redis;
  return { kind: 'sentinel', sentinels, master, sentinelUsername, sentinelPassword, database, ...common };
}

function redisTls(tls: RedisTls): RedisTlsConfig | undefined {
  if (tls === undefined) return undefined;
  const { ca, cert, key, verify, serverName } = tls;
  return { ca, cert, key, verify, serverName };
}

function listenerConfig(listener: ParsedListener, name: string): ListenerConfig {
  const { connections, rate, ipv6Prefix, scope } = listener.limits.perClient;
  return {
    name,
    listen: Array.isArray(listener.listen) ? listener.listen : [listener.listen],
    pool: listener.pool,
    backlog: listener.backlog,
    proxyProtocol: listener.proxyProtocol,
    clients: listener.clients,
    limits: { connections: listener.limits.connections, perClient: { connections, rate, ipv6Prefix, scope } },
    tls: listenerTls(listener.tls),
    timeouts: {
      proxyHeaderMs: listener.timeouts.proxyHeader,
      handshakeMs: listener.timeouts.handshake,
      idleMs: listener.timeouts.idle,
    },
  };
}

function listenerTls(tls: ParsedListener['tls']): ListenerTlsConfig {
  const { ciphers, clientCertificates, routeBy, ...rest } = tls;
  return { ...rest, ciphers, clientCertificates, routeBy };
}

function poolConfig(pool: ParsedPool, hostName: string): PoolConfig {
  const { connect, queue, passiveHealth, sticky, tls } = pool;
  return {
    name: pool.name,
    balance: pool.balance,
    sticky: stickyConfig(sticky),
    identity: pool.identity,
    xclient: pool.xclient,
    source: pool.source,
    warm: warmConfig(pool.warm),
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
    tls: poolTls(tls),
    backends: pool.backends.map(backendConfig),
  };
}

function stickyConfig(sticky: ParsedPool['sticky']): StickyConfig | undefined {
  if (sticky === undefined) return undefined;
  const { ttl, timeout, ...rest } = sticky;
  return { ...rest, ttlMs: ttl, timeoutMs: timeout };
}

/** A number alone leaves the rest to the schema's defaults. */
function warmConfig(warm: ParsedPool['warm']): WarmConfig | undefined {
  const { size, maxAge } = typeof warm === 'number' ? { size: warm, maxAge: WARM_MAX_AGE_MS } : warm;
  return size === 0 ? undefined : { size, maxAgeMs: maxAge };
}

function poolTls({
  mode,
  verify,
  ca,
  serverName,
  fingerprints,
  certificate,
  minVersion,
}: ParsedPool['tls']): PoolTlsConfig {
  return {
    mode,
    verify: verify ?? mode !== 'may',
    ca,
    serverName,
    fingerprints: fingerprints.map(fingerprint => fingerprint.replaceAll(':', '').toLowerCase()),
    certificate,
    minVersion,
  };
}

function checkConfig(check: ParsedPool['check'], hostName: string): CheckConfig {
  const { interval, timeout, helo = hostName, address, port, starttls, mail, instances, ...rest } = check;
  return {
    ...rest,
    intervalMs: interval,
    timeoutMs: timeout,
    helo,
    address,
    port,
    starttls: starttls && { verify: starttls.verify, serverName: starttls.serverName, ca: starttls.ca },
    mail,
    instances,
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
