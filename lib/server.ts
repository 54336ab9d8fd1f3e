import { type Admin, startAdmin } from './admin/admin.ts';
import type { Outcome } from './admin/control.ts';
import { createOperatorState } from './admin/operator-state.ts';
import { sessionDescriptors } from './admission/descriptor-budget.ts';
import type { BackendEvent } from './balancer/balancer.ts';
import { createClusterOperation } from './cluster-operation.ts';
import { openClusterPlane } from './cluster-plane.ts';
import type { Config } from './config/config.ts';
import { startControlPlane } from './control-plane.ts';
import { type Address, formatAddress } from './core/address.ts';
import { openBoard } from './core/board.ts';
import { monotonicMs } from './core/clock.ts';
import { createLog, type LineWriter, type Logger } from './core/log.ts';
import { version } from './core/package.ts';
import { openShardStats } from './core/shard-stats.ts';
import { createEdgeTls } from './edge-tls.ts';
import { createMonitor, type Monitor } from './health/monitor.ts';
import { type Inheritance, readInheritance } from './inherit.ts';
import { createLifecycle } from './lifecycle.ts';
import { createMetrics } from './metrics/metrics.ts';
import { createNotifier } from './notify.ts';
import { createControl } from './operate.ts';
import { createReloader, type ReadConfig } from './reload.ts';
import { createRows } from './rows.ts';
import type { DataPlane } from './shard/data-plane.ts';
import { startDataPlane } from './shard/fleet.ts';
import type { SeatKind } from './shard/seat.ts';
import { chooseShards, logShardEvent, type ShardChoice } from './shards.ts';
import { shareOver } from './sharing.ts';
import { checkReader, readStatus, type StatusSources } from './status.ts';
import { checkTransparency } from './transparency.ts';
import { loadCustodian } from './transport/linux/custodian.ts';

/** One running instance. */
export interface Server {
  /** Addresses listened on, by listener name, with the ports that were given where 0 was asked for. */
  readonly listening: ReadonlyMap<string, readonly Address[]>;
  /** Null where the configuration names no admin address. */
  readonly admin: Address | null;
  readonly logger: Logger;
  /** Puts the configuration into use as it is now; see `ServerOptions.read`. */
  reload(): Promise<Outcome>;
  /** See `Lifecycle`. */
  stop(): Promise<void>;
  /** Resolves when the instance is over: stopped, or relieved by a successor. */
  readonly stopped: Promise<void>;
}

export interface ServerOptions {
  /** Takes the log's lines instead of standard output. */
  readonly log?: LineWriter;
  /** Reads the configuration anew for a reload; without it there is none. */
  readonly read?: ReadConfig;
  /** Sockets and words from a predecessor or from systemd; nothing unless given. */
  readonly inheritance?: Inheritance;
  /** Other shards than the configuration asks for. */
  readonly shards?: ShardChoice;
}

/** Descriptors that are not the sessions': the log, name look-ups, and whatever the runtime opens for a moment. */
const OTHER_DESCRIPTORS = 32;

/** Descriptors of a thread's own: its loops and wake-ups, and a listening socket for each address. */
const SHARD_DESCRIPTORS = 32;

/** The composition root: builds the planes, wires them, starts them. Rejects with a sentence an operator can act on. */
export async function startServer(config: Config, options: ServerOptions = {}): Promise<Server> {
  const { level } = config.log;
  const log = createLog({ level, instance: config.instance, ...(options.log && { out: options.log }) });
  const { logger } = log;
  const startedAtMs = Date.now();
  const board = openBoard();
  const { seats, notes, spawn, patience } = options.shards ?? (await chooseShards(config));
  const custodian = seats.every(({ inThread }) => inThread) ? null : await loadCustodian();
  const stats = seats.map(() => openShardStats());
  const rows = createRows(board, stats);
  const inheritance = options.inheritance ?? readInheritance({});
  const operator = createOperatorState(inheritance.operator);
  const notifier = createNotifier(process.env, logger);
  const onError = (error: unknown): void =>
    logger.error({ err: error }, 'a session ended by a fault of smtplb');

  const cluster = await openClusterPlane(config.cluster, {
    board,
    shards: stats,
    logger,
    now: monotonicMs,
  });
  const edgeTls = createEdgeTls(logger);
  const { keeper, checks, tickets } = shareOver(cluster, config.instance, logger, () => monitor, edgeTls);
  const monitor: Monitor = createMonitor({
    sharing: () => checks,
    onChange(pool, backend, { health, outcome, detail }) {
      logger[health === 'up' ? 'info' : 'warn']({ pool, backend, outcome, detail }, `backend is ${health}`);
      void plane.publish();
    },
    onResult(pool, backend, result) {
      logger.debug({ pool, backend, ...result }, 'check');
      const type = plane.config.pools.find(({ name }) => name === pool)?.check.type;
      if (result.outcome === 'ok' && type === 'smtp') plane.greeted(pool, backend);
    },
  });
  const operation = createClusterOperation({
    cluster,
    config,
    operator,
    version,
    startedAtMs,
    state: () => lifecycle.stopping ?? 'running',
    isSuccessor: inheritance.fromPredecessor,
    logger,
  });
  await operation.listen();
  /** What runs beside the data plane, and ends after it. */
  const stopOthers = async (): Promise<void> => {
    edgeTls.stop();
    await Promise.all([monitor.stop(), cluster?.stop()]);
  };
  const starting = startControlPlane(config, {
    board,
    rows,
    operator,
    monitor,
    edgeTls,
    now: monotonicMs,
    check: used => checkTransparency(used, seats),
    beforeUse: (used, snapshot) => cluster?.prepare(used, snapshot),
    onUse: (used, snapshot) => cluster?.use(used, snapshot),
    start: first =>
      startDataPlane(first, {
        seats,
        spawn,
        patience,
        board,
        stats,
        descriptors: descriptorsFor(config, seats.length),
        instance: config.instance,
        takeInherited: inheritance.takeInherited,
        custodian,
        needsNet: (listener, pool) => !seats[0]?.speaksTls && (listener.tls !== null || pool.tls !== null),
        reports: {
          keeper,
          onLines: log.write,
          onBackendEvent(event) {
            logBackendEvent(logger, event);
            // What sessions have met, a check should know soon.
            if (event.event === 'suspected' || event.event === 'ejected')
              monitor.recheck(event.pool, event.backend);
          },
          onError,
        },
        onForfeit: rows.forfeitClients,
        onShard: event => logShardEvent(logger, event),
      }),
  });
  const plane = await starting.catch(async error => {
    await stopOthers();
    throw error;
  });
  for (const note of notes) logger.info(note);
  edgeTls.start({
    onChange: () =>
      plane.refresh().catch(error => logger.error({ err: error }, 'new certificates are not in use')),
    rotates: cluster === null,
  });

  let admin: Admin | null = null;
  notifier.watch();
  const lifecycle = createLifecycle({
    plane,
    operator,
    log,
    notifier,
    admin: () => admin,
    async onStop() {
      notifier.unwatch();
      await stopOthers();
    },
  });
  operation.attach(plane);
  cluster?.start(() => plane.snapshot);
  const reloader = createReloader({ plane, started: config, read: options.read ?? null, notifier, logger });
  const sources: StatusSources = {
    plane,
    board,
    operator,
    operation,
    othersAt: cluster?.othersAt ?? (() => null),
    shards: stats,
    nowMs: monotonicMs,
    checkOf: checkReader(plane, monitor),
  };
  const startedAt = new Date(startedAtMs).toISOString();
  const control = createControl({
    plane,
    board,
    operator,
    operation,
    logger,
    reload: reloader.reload,
    upgrade: lifecycle.upgrade,
    upgrading: () => lifecycle.upgrading,
    status: () => ({
      instance: config.instance,
      version,
      startedAt,
      now: new Date().toISOString(),
      state: lifecycle.stopping ?? 'running',
      lastReload: reloader.last,
      ...readStatus(sources),
    }),
  });
  const metrics = createMetrics({
    version,
    board,
    shards: stats,
    shardStates: () => plane.data.shards,
    snapshot: () => plane.snapshot,
    generation: () => plane.generation,
    reloads: () => reloader.counts,
    droppedLogLines: log.dropped,
    nowMs: monotonicMs,
    checks: monitor,
    cluster,
    clusterWarnings: () => operation.summary()?.warnings.length ?? 0,
    certificates: edgeTls.certificates,
    ticketKeys: () => ({ changes: edgeTls.tickets.changes, isShared: tickets?.isShared ?? null }),
  });
  admin = await orStopped(plane.data, stopOthers, inheritance.fromPredecessor, () =>
    startAdmin({
      listen: config.admin.listen ?? null,
      socket: config.admin.socket ?? null,
      maxConnections: config.admin.maxConnections,
      access: () => ({
        token: plane.config.admin.token ?? null,
        hosts: [plane.config.hostName, plane.config.instance, ...plane.config.admin.hosts],
      }),
      metrics,
      unready: () => lifecycle.stopping,
      control,
      takeInherited: address => inheritance.takeInherited([{ listener: '', address }])[0],
    }),
  );
  for (const socket of inheritance.leaveUnclaimed())
    logger.warn({ socket }, 'no listener wants this inherited socket');
  notifier.tell('READY=1');
  const { transport } = seats[0] as SeatKind;
  logger.info({ version, transport, listeners: described(plane.data.listening) }, 'ready');

  return {
    get listening() {
      return plane.data.listening;
    },
    admin: admin.address,
    logger,
    reload: reloader.reload,
    stop: lifecycle.stop,
    stopped: lifecycle.stopped,
  };
}

function descriptorsFor(config: Config, shards: number): number {
  const checked = config.pools
    .filter(({ check }) => check.type !== 'none')
    .flatMap(({ backends }) => backends);
  const others =
    OTHER_DESCRIPTORS + shards * SHARD_DESCRIPTORS + config.admin.maxConnections + checked.length;
  const descriptors = sessionDescriptors(others, shards);
  if (descriptors < 2)
    throw new Error('the limit of open files is too low to serve a session; raise it (ulimit -n)');
  return descriptors;
}

/** What starts after the data plane takes it down again when it cannot start; a predecessor carries on. */
async function orStopped<T>(
  data: DataPlane,
  stopOthers: () => Promise<void>,
  handedOver: boolean,
  start: () => Promise<T>,
): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const drained = data.drain(handedOver);
    data.cut();
    await Promise.all([drained, stopOthers()]);
    throw error;
  }
}

function logBackendEvent(logger: Logger, { event, ...rest }: BackendEvent): void {
  if (event === 'suspected')
    logger[rest.detail === undefined ? 'debug' : 'warn'](rest, 'a session failed there');
  else if (event === 'plaintext')
    logger.warn(
      rest,
      'TLS with the backend failed: it is spoken to in plaintext for five minutes, as tls.mode may allows',
    );
  else if (event === 'xclient-missing')
    logger.warn(
      rest,
      'the backend does not offer XCLIENT to smtplb: it sees the address of smtplb instead of the client',
    );
  else if (event === 'xclient-exposed')
    logger.warn(
      rest,
      'the backend offers XCLIENT to smtplb and so to all its clients, who may say what they like of themselves: ' +
        'it must not trust the address of smtplb, or the pool needs identity: xclient',
    );
  else if (event === 'xclient-offered') logger.info(rest, 'the backend offers XCLIENT again');
  else if (event === 'returned') logger.info(rest, 'backend is back: it greeted');
  else logger.warn(rest, 'backend is left alone: sessions failed there');
}

function described(listening: DataPlane['listening']): Record<string, string[]> {
  return Object.fromEntries([...listening].map(([name, addresses]) => [name, addresses.map(formatAddress)]));
}
