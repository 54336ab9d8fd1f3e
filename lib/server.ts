import { type Admin, startAdmin } from './admin/admin.ts';
import { createOperatorState } from './admin/operator-state.ts';
import { sessionDescriptors } from './admission/descriptor-budget.ts';
import { assemble, resolveBackends } from './assemble.ts';
import type { BackendEvent } from './balancer/balancer.ts';
import type { Config } from './config/config.ts';
import { type Address, formatAddress } from './core/address.ts';
import { openBoard } from './core/board.ts';
import { monotonicMs } from './core/clock.ts';
import { createLog, type LineWriter, type Log, type Logger } from './core/log.ts';
import { version } from './core/package.ts';
import { openShardStats } from './core/shard-stats.ts';
import { createMetrics } from './metrics/metrics.ts';
import { createRows } from './rows.ts';
import { logSession } from './shard/access-log.ts';
import { type Shard, startShard } from './shard/shard.ts';
import { createNetTransport } from './transport/net/transport.ts';

/** One running instance. */
export interface Server {
  /** Addresses listened on, by listener name, with the ports that were given where 0 was asked for. */
  readonly listening: ReadonlyMap<string, readonly Address[]>;
  /** Null where the configuration names no admin address. */
  readonly admin: Address | null;
  readonly logger: Logger;
  /**
   * Stops accepting and resolves when the last session is over, at the latest after `drainTimeout`. Called again, it
   * ends the sessions that are left now.
   */
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** Takes the log's lines instead of standard output. */
  readonly log?: LineWriter;
}

/** Descriptors that are not the sessions': the log, name look-ups, and whatever the runtime opens for a moment. */
const OTHER_DESCRIPTORS = 32;

/** The composition root: builds the planes, wires them, starts them. Rejects with a sentence an operator can act on. */
export async function startServer(config: Config, options: ServerOptions = {}): Promise<Server> {
  const { level } = config.log;
  const log = createLog({ level, instance: config.instance, ...(options.log && { out: options.log }) });
  const { logger } = log;
  const board = openBoard();
  const stats = openShardStats();
  const descriptors = sessionDescriptors(OTHER_DESCRIPTORS + config.admin.maxConnections);
  if (descriptors < 2)
    throw new Error('the limit of open files is too low to serve a session; raise it (ulimit -n)');
  const onError = (error: unknown): void =>
    logger.error({ err: error }, 'a session ended by a fault of smtplb');
  const addresses = await resolveBackends(config);
  const operator = createOperatorState();
  const rows = createRows(board, [stats]);
  const snapshot = assemble(config, addresses, rows, (pool, backend) => ({
    health: 'up',
    ...operator.of(pool, backend),
  }));

  const shard = await startShard(snapshot, {
    board,
    stats,
    descriptors,
    transport: createNetTransport(onError),
    onRecords: records => {
      for (const record of records) logSession(logger, record);
    },
    onBackendEvent: event => logBackendEvent(logger, event),
    onError,
  });

  let stopping: Promise<void> | null = null;
  const metrics = createMetrics({
    version,
    board,
    shards: [stats],
    snapshot: () => snapshot,
    generation: () => 1,
    droppedLogLines: log.dropped,
    nowMs: monotonicMs,
  });
  const admin = await startAdminOf(config, shard, {
    metrics,
    unready: () => (stopping === null ? null : 'stopping'),
  });
  logger.info({ version, listeners: described(shard.listening) }, 'ready');

  return {
    listening: shard.listening,
    admin: admin?.address ?? null,
    logger,
    stop() {
      if (stopping === null) stopping = drain(shard, config.drainTimeoutMs, admin, log);
      else shard.cut();
      return stopping;
    },
  };
}

async function startAdminOf(
  config: Config,
  shard: Shard,
  rest: Pick<Parameters<typeof startAdmin>[0], 'metrics' | 'unready'>,
): Promise<Admin | null> {
  const { listen, maxConnections } = config.admin;
  if (listen === undefined) return null;
  try {
    return await startAdmin({ listen, maxConnections, ...rest });
  } catch (error) {
    shard.cut();
    await shard.drain();
    throw error;
  }
}

async function drain(shard: Shard, timeoutMs: number, admin: Admin | null, log: Log): Promise<void> {
  const { logger } = log;
  logger.info({ sessions: shard.sessions, drainTimeoutMs: timeoutMs }, 'stopping: no new sessions');
  const deadline = setTimeout(() => {
    logger.warn({ sessions: shard.sessions }, 'drainTimeout is over: ending the sessions that are left');
    shard.cut();
  }, timeoutMs);
  await shard.drain();
  clearTimeout(deadline);
  await admin?.close();
  logger.info('stopped');
  log.flush();
}

function logBackendEvent(logger: Logger, { event, ...rest }: BackendEvent): void {
  if (event === 'returned') logger.info(rest, 'backend is back: it greeted');
  else logger.warn(rest, 'backend is left alone: sessions failed there');
}

function described(listening: Shard['listening']): Record<string, string[]> {
  return Object.fromEntries([...listening].map(([name, addresses]) => [name, addresses.map(formatAddress)]));
}
