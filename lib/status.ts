import type { OperatorState } from './admin/operator-state.ts';
import type {
  BackendStatus,
  CheckStatus,
  ListenerStatus,
  PoolStatus,
  StatusDocument,
} from './admin/status.ts';
import type { ClusterOperation } from './cluster-operation.ts';
import type { ControlPlane } from './control-plane.ts';
import { formatAddress } from './core/address.ts';
import type { Board } from './core/board.ts';
import { monotonicMs } from './core/clock.ts';
import { FAULT_CODES } from './core/fault.ts';
import { type ListenerColumn, type ShardStats, terminationColumn } from './core/shard-stats.ts';
import { CAUSE_NAMES, PHASE_NAMES } from './core/termination.ts';
import type { Monitor } from './health/monitor.ts';
import { standing } from './pool/passive-health.ts';
import type { BackendSnapshot, PoolSnapshot } from './pool/snapshot.ts';
import type { ListenerSnapshot } from './session/snapshot.ts';

export interface StatusSources {
  readonly plane: ControlPlane;
  readonly board: Board;
  readonly operator: OperatorState;
  readonly operation: ClusterOperation;
  /** Sessions that the other instances have at a backend; null where that is not known. */
  readonly othersAt: (pool: string, backend: string) => number | null;
  readonly shards: readonly ShardStats[];
  readonly nowMs: () => number;
  /** What checks last found; null where the pool has none. */
  readonly checkOf: (pool: string, backend: string) => CheckStatus | null;
}

/** What checks last found, in the words of the status document. */
export function checkReader(plane: ControlPlane, monitor: Monitor): StatusSources['checkOf'] {
  return (pool, backend) => {
    const type = plane.config.pools.find(({ name }) => name === pool)?.check.type;
    const {
      checked,
      checkers,
      isCheckedHere,
      outcome,
      detail,
      durationMs,
      consecutive,
      sinceMs,
      certificateDaysLeft,
    } = monitor.of(pool, backend);
    if (!checked || type === undefined) return null;
    const secondsSinceChange = Math.round((monotonicMs() - sinceMs) / 1_000);
    return {
      type,
      outcome,
      detail,
      durationMs,
      consecutive,
      secondsSinceChange,
      certificateDaysLeft,
      checkers,
      isCheckedHere,
    };
  };
}

type Parts = Pick<StatusDocument, 'listeners' | 'pools' | 'generation' | 'shards' | 'cluster'>;

/** The parts of the status document that are read from the counters. */
export function readStatus(sources: StatusSources): Parts {
  const { listeners, pools } = sources.plane.snapshot;
  return {
    generation: sources.plane.generation,
    shards: sources.plane.data.shards,
    cluster: sources.operation.summary(),
    listeners: listeners.map(listener => listenerStatus(listener, sources)),
    pools: pools.map(pool => poolStatus(pool, sources)),
  };
}

function listenerStatus(listener: ListenerSnapshot, { board, plane, shards }: StatusSources): ListenerStatus {
  const total = (column: ListenerColumn) => sum(shards, shard => shard.listeners.get(listener.row, column));
  const ended = CAUSE_NAMES.map(cause => {
    const count = PHASE_NAMES.reduce((all, phase) => all + total(terminationColumn(cause, phase)), 0);
    return [cause, count] as const;
  });
  return {
    name: listener.name,
    pool: listener.pool,
    addresses: (plane.data.listening.get(listener.name) ?? []).map(formatAddress),
    active: Atomics.load(board.listenerSessions, listener.row),
    limit: bound(listener.admission.connections),
    accepted: total('accepted'),
    bytesFromClients: total('bytesFromClients'),
    bytesFromBackends: total('bytesFromBackends'),
    starttlsUsed: total('starttlsUsed'),
    ended: Object.fromEntries(ended.filter(([, count]) => count > 0)),
  };
}

function poolStatus(pool: PoolSnapshot, sources: StatusSources): PoolStatus {
  const { board, plane, shards } = sources;
  const configured = plane.config.pools.find(({ name }) => name === pool.name)?.backends ?? [];
  return {
    name: pool.name,
    balance: pool.balance,
    identity: pool.identity,
    queued: Atomics.load(board.poolQueued, pool.row),
    queueSize: pool.queue.size,
    retries: sum(shards, shard => faults(code => shard.pools.get(pool.row, `retry/${code}`))),
    backends: pool.backends.map(backend => {
      const weight = configured.find(({ name }) => name === backend.name)?.weight ?? backend.weight;
      return backendStatus(pool, backend, weight, sources);
    }),
  };
}

function backendStatus(
  { name: pool, warm }: PoolSnapshot,
  backend: BackendSnapshot,
  configuredWeight: number,
  { board, checkOf, nowMs, operator, othersAt, shards }: StatusSources,
): BackendStatus {
  const { row } = backend;
  const now = nowMs();
  const scope = operator.scopeOf(pool, backend.name);
  const trusted = standing(board, row, now) === 'trusted';
  return {
    name: backend.name,
    address: formatAddress(backend.address),
    weight: backend.weight,
    configuredWeight,
    backup: backend.backup,
    admin: backend.admin,
    adminScope: scope.admin,
    weightScope: scope.weight,
    health: backend.health,
    check: checkOf(pool, backend.name),
    ejectedForSeconds: trusted
      ? null
      : Math.max(0, Math.ceil(((board.backendRetryAtMs[row] as number) - now) / 1_000)),
    failuresInARow: Atomics.load(board.backendFailures, row),
    active: Atomics.load(board.backendSlots, row),
    activeElsewhere: othersAt(pool, backend.name),
    limit: bound(backend.maxConnections),
    warm: warm === undefined ? null : Atomics.load(board.backendWarmReady, row),
    picks: sum(shards, shard => shard.backends.get(row, 'picks')),
    failures: sum(shards, shard => faults(code => shard.backends.get(row, code))),
  };
}

function faults(count: (code: (typeof FAULT_CODES)[number]) => number): number {
  return FAULT_CODES.reduce((all, code) => all + count(code), 0);
}

function sum(shards: readonly ShardStats[], count: (shard: ShardStats) => number): number {
  return shards.reduce((all, shard) => all + count(shard), 0);
}

function bound(limit: number): number | null {
  return Number.isFinite(limit) ? limit : null;
}
