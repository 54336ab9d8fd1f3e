import {
  type CounterTable,
  type HistogramTable,
  openCounterTable,
  openHistogramTable,
  openRegion,
  type Region,
} from './counters.ts';
import { FAULT_CODES, type FaultCode } from './fault.ts';
import { MAX_BACKENDS, MAX_LISTENERS, MAX_POOLS } from './limits.ts';
import { CLIENT_HELLO_FAULTS, type ClientHelloFault, ROUTE_MATCHES, type RouteMatch } from './routing.ts';
import { CAUSE_NAMES, type Cause, PHASE_NAMES, type Phase } from './termination.ts';
import { TLS_FAULTS, TLS_VERSIONS, type TlsFaultCode, type TlsVersionName } from './tls-fault.ts';

/** `normal/relaying` and so on: one counter for each way to end. */
export type TerminationColumn = `${Cause}/${Phase}`;

const TERMINATION_COLUMNS = CAUSE_NAMES.flatMap(cause =>
  PHASE_NAMES.map(phase => `${cause}/${phase}` as const),
);

/** Names that are put together are slow to look up the first time: each of them is made once. */
const TERMINATION_TABLE = Object.fromEntries(
  CAUSE_NAMES.map(cause => [
    cause,
    Object.fromEntries(PHASE_NAMES.map(phase => [phase, `${cause}/${phase}` as const])),
  ]),
) as Record<Cause, Record<Phase, TerminationColumn>>;

export const terminationColumn = (cause: Cause, phase: Phase): TerminationColumn =>
  TERMINATION_TABLE[cause][phase];

export type ListenerColumn =
  | TerminationColumn
  | 'accepted'
  | 'bytesFromClients'
  | 'bytesFromBackends'
  | 'starttlsOffered'
  | 'starttlsUsed'
  | `tls/${TlsVersionName}`
  | 'tlsResumed'
  | `tlsFault/${TlsFaultCode}`
  | `clientHello/${ClientHelloFault}`;

/** What became of TLS, or of XCLIENT, with a backend; the second word is a metric label. */
export type PreparationColumn = (typeof PREPARATION_COLUMNS)[number];
/**
 * Warm connections: given to a session, not there when one was wanted, renewed, ended by the backend while they waited, and
 * never ready. The words are metric labels.
 */
export const WARM_RESULTS = ['taken', 'missed', 'expired', 'lost', 'failed'] as const;
export type WarmColumn = (typeof WARM_RESULTS)[number];
export type BackendColumn = 'picks' | 'ejections' | FaultCode | PreparationColumn | `warm/${WarmColumn}`;
/** How sessions of sticky pools came to their backends, and what became of what was remembered. */
export const STICKY_RESULTS = ['cache', 'redis', 'hash', 'timeout'] as const;
export type PoolColumn =
  | `retry/${FaultCode}`
  | `routed/${RouteMatch}`
  | `sticky/${(typeof STICKY_RESULTS)[number]}`
  | 'stickyMoved'
  | 'stickyLost';

const LISTENER_COLUMNS: readonly ListenerColumn[] = [
  'accepted',
  'bytesFromClients',
  'bytesFromBackends',
  'starttlsOffered',
  'starttlsUsed',
  ...TLS_VERSIONS.map(version => `tls/${version}` as const),
  'tlsResumed',
  ...TLS_FAULTS.map(code => `tlsFault/${code}` as const),
  ...CLIENT_HELLO_FAULTS.map(fault => `clientHello/${fault}` as const),
  ...TERMINATION_COLUMNS,
];
export const PREPARATION_COLUMNS = [
  'tls/ok',
  'tls/resumed',
  'tls/failed',
  'tls/untrusted',
  'tls/plaintext',
  'xclient/sent',
  'xclient/not-offered',
  'xclient/refused',
  'xclient/exposed',
] as const;
const BACKEND_COLUMNS: readonly BackendColumn[] = [
  'picks',
  'ejections',
  ...FAULT_CODES,
  ...PREPARATION_COLUMNS,
  ...WARM_RESULTS.map(result => `warm/${result}` as const),
];
const POOL_COLUMNS: readonly PoolColumn[] = [
  ...FAULT_CODES.map(code => `retry/${code}` as const),
  ...ROUTE_MATCHES.map(by => `routed/${by}` as const),
  ...STICKY_RESULTS.map(result => `sticky/${result}` as const),
  'stickyMoved',
  'stickyLost',
];

/** Seconds. From a loopback connect to the longest pause a mail peer may make (RFC 5321 section 4.5.3.2). */
const LATENCY_BOUNDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;
const DURATION_BOUNDS = [
  0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600,
] as const;

const LAG_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1] as const;

/** What one shard counts. Monotonic; read by the scrape, summed over the shards. */
export interface ShardStats {
  readonly memory: SharedArrayBuffer;
  readonly listeners: CounterTable<ListenerColumn>;
  readonly pools: CounterTable<PoolColumn>;
  readonly backends: CounterTable<BackendColumn>;
  /** Seconds from dialling to connected, by pool. */
  readonly connectSeconds: HistogramTable;
  /** Seconds from connected to the first greeting line, by pool. */
  readonly greetingSeconds: HistogramTable;
  /** Seconds spent in the queue, by pool; only sessions that had to wait. */
  readonly queueSeconds: HistogramTable;
  /** Seconds from accept to close, by listener. */
  readonly sessionSeconds: HistogramTable;
  /** Seconds by which the shard's clock ticked too late, in row 0: how long its loop was busy elsewhere. */
  readonly loopLagSeconds: HistogramTable;
  readonly signs: ShardSigns;
}

/** How a shard is now. */
export class ShardSigns {
  readonly #cells: Float64Array;

  constructor(region: Region) {
    this.#cells = region.float64(3);
  }

  /** Sessions that are not closed. */
  get sessions(): number {
    return this.#cells[0] as number;
  }
  set sessions(count) {
    this.#cells[0] = count;
  }

  /** Monotonic milliseconds of the last tick of its clock; one that is old belongs to a thread that hangs. */
  get tickedAtMs(): number {
    return this.#cells[1] as number;
  }
  set tickedAtMs(ms) {
    this.#cells[1] = ms;
  }

  /** Session records thrown away because the control plane did not take them in time; only grows. */
  get recordsDropped(): number {
    return this.#cells[2] as number;
  }
  set recordsDropped(count) {
    this.#cells[2] = count;
  }
}

function layOut(region: Region): Omit<ShardStats, 'memory'> {
  return {
    listeners: openCounterTable(region, MAX_LISTENERS, LISTENER_COLUMNS),
    pools: openCounterTable(region, MAX_POOLS, POOL_COLUMNS),
    backends: openCounterTable(region, MAX_BACKENDS, BACKEND_COLUMNS),
    connectSeconds: openHistogramTable(region, MAX_POOLS, LATENCY_BOUNDS),
    greetingSeconds: openHistogramTable(region, MAX_POOLS, LATENCY_BOUNDS),
    queueSeconds: openHistogramTable(region, MAX_POOLS, LATENCY_BOUNDS),
    sessionSeconds: openHistogramTable(region, MAX_LISTENERS, DURATION_BOUNDS),
    loopLagSeconds: openHistogramTable(region, 1, LAG_BOUNDS),
    signs: new ShardSigns(region),
  };
}

/** The tables over their memory; another thread passes the `memory` it was given. */
export function openShardStats(memory?: SharedArrayBuffer): ShardStats {
  if (memory === undefined) {
    const ruler = openRegion(null);
    layOut(ruler);
    memory = new SharedArrayBuffer(ruler.used);
  }
  return { memory, ...layOut(openRegion(memory)) };
}
