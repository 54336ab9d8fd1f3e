/** The way to Redis: one address, Sentinel, or Cluster; with or without TLS and an ACL user. */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisConfig, RedisTlsConfig } from '../config/config.ts';
import { type MonotonicMs, monotonicMs } from '../core/clock.ts';
import { COMMAND_MS, CONNECT_MS, RECONNECT_MS, SILENCE_MS } from './limits.ts';

export type RedisClient = Redis | Cluster;

/**
 * A client that connects by itself and goes on trying. It queues nothing while it is not connected: a command then
 * fails at once. Commands that were under way when a connection broke fail and are not sent again.
 *
 * @throws {Error} with the path where a certificate's file cannot be read
 */
export function createClient(redis: RedisConfig): RedisClient {
  hearEverySocket();
  switch (redis.kind) {
    case 'url':
      return ofUrl(redis);
    case 'sentinel':
      return ofSentinels(redis);
    case 'cluster':
      return ofCluster(redis);
  }
}

/** As far as is needed of what a client dials with. */
interface Connector {
  connect(emit: unknown): Promise<Socket>;
}

let isHeard = false;

/**
 * A TLS socket of Node may tell of two errors, an alert of the other side behind what has ended it here, and the client
 * listens to one: the other, heard by nobody, would end the process. The library has clients of its own as well, for
 * Sentinels and for news of a cluster, so this is done once, where it dials.
 */
function hearEverySocket(): void {
  if (isHeard) return;
  isHeard = true;
  const byAddress = new Redis({ lazyConnect: true });
  const bySentinels = new Redis({ lazyConnect: true, name: 'any', sentinels: [{ host: 'localhost' }] });
  for (const client of [byAddress, bySentinels]) {
    const { connector } = client as unknown as { readonly connector: Connector };
    const dialling = Object.getPrototypeOf(connector) as Connector;
    const { connect } = dialling;
    dialling.connect = async function (this: Connector, emit) {
      return (await connect.call(this, emit)).on('error', () => {});
    };
  }
}

/** The pause before attempt `times`: doubling, capped, half of it chance so that a cluster does not return as one. */
export function reconnectPauseMs(times: number): number {
  const ceiling = Math.min(RECONNECT_MS, 50 * 2 ** Math.min(times, 10));
  return Math.round(ceiling / 2 + (Math.random() * ceiling) / 2);
}

function common(redis: RedisConfig): Omit<RedisOptions, 'replyMapping'> {
  return {
    ...(redis.username !== undefined && { username: redis.username }),
    ...(redis.password !== undefined && { password: redis.password }),
    ...(redis.tls !== undefined && { tls: tlsOptions(redis.tls) }),
    connectTimeout: CONNECT_MS,
    commandTimeout: COMMAND_MS,
    socketTimeout: SILENCE_MS,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // Names library and version to Redis, for which an ACL user would need one more command.
    disableClientInfo: true,
    retryStrategy: reconnectPauseMs,
    reconnectOnError: whereReadOnly(),
    lazyConnect: true,
  };
}

/**
 * A primary that became a replica refuses writes: what the name or the Sentinels point to now is asked anew. Not with each
 * refusal: it may be read-only for long.
 */
function whereReadOnly(now: MonotonicMs = monotonicMs): (error: Error) => boolean {
  let askedMs = Number.NEGATIVE_INFINITY;
  return error => {
    if (!error.message.startsWith('READONLY') || now() - askedMs < RECONNECT_MS) return false;
    askedMs = now();
    return true;
  };
}

function ofUrl(redis: Extract<RedisConfig, { kind: 'url' }>): Redis {
  const url = new URL(redis.url);
  const user = decodeURIComponent(url.username);
  const password = decodeURIComponent(url.password);
  return new Redis({
    ...(user !== '' && { username: user }),
    ...(password !== '' && { password }),
    ...(url.protocol === 'rediss:' && { tls: {} }),
    ...common(redis),
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 6_379 : Number(url.port),
    db: Number(url.pathname.slice(1)),
  });
}

function ofSentinels(redis: Extract<RedisConfig, { kind: 'sentinel' }>): Redis {
  const { sentinels, master, sentinelUsername, sentinelPassword, database, tls } = redis;
  return new Redis({
    ...common(redis),
    sentinels: sentinels.map(({ host, port }) => ({ host, port })),
    name: master,
    ...(sentinelUsername !== undefined && { sentinelUsername }),
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    ...(tls !== undefined && { enableTLSForSentinelMode: true, sentinelTLS: tlsOptions(tls) }),
    db: database,
    sentinelCommandTimeout: CONNECT_MS,
    sentinelRetryStrategy: reconnectPauseMs,
    // Told by the Sentinels of a fail-over, it leaves the old primary without waiting for its silence.
    failoverDetector: true,
  });
}

function ofCluster(redis: Extract<RedisConfig, { kind: 'cluster' }>): Cluster {
  const { enableOfflineQueue: _, retryStrategy: __, lazyConnect: ___, ...redisOptions } = common(redis);
  return new Cluster(
    redis.nodes.map(({ host, port }) => ({ host, port })),
    {
      redisOptions,
      enableOfflineQueue: false,
      lazyConnect: true,
      clusterRetryStrategy: times => reconnectPauseMs(times),
      clusterNodeRetryStrategy: reconnectPauseMs,
      // Retries within the library are few: what fails is asked anew with the next exchange.
      maxRedirections: 4,
      retryDelayOnFailover: 200,
      retryDelayOnClusterDown: 200,
      slotsRefreshTimeout: CONNECT_MS,
      // Nodes are spoken to by the names they go by; certificates are checked against these.
      dnsLookup: (address, callback) => callback(null, address),
    },
  );
}

/** Files are read once, at the start: a certificate replaced later is taken by the next start. */
function tlsOptions({ ca, cert, key, verify, serverName }: RedisTlsConfig): ConnectionOptions {
  return {
    ...(ca !== undefined && { ca: pem(ca) }),
    ...(cert !== undefined && { cert: pem(cert) }),
    ...(key !== undefined && { key: pem(key) }),
    ...(serverName !== undefined && { servername: serverName }),
    rejectUnauthorized: verify,
  };
}

function pem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new Error(`${path}, for TLS towards Redis, cannot be read (${code})`);
  }
}
