/**
 * A pool, a listener and their sessions on a transport in memory, with a clock that stands still unless told. Each
 * `step` does one thing at random: a peer acts, an event is handed up, time passes, the operator says something.
 */
import { createAdmission } from '../../lib/admission/admission.ts';
import { type ClientTable, clientTableMemory, openClientTable } from '../../lib/admission/client-table.ts';
import { createDescriptorBudget, type DescriptorBudget } from '../../lib/admission/descriptor-budget.ts';
import { Balancer } from '../../lib/balancer/balancer.ts';
import { type Address, ipAddress } from '../../lib/core/address.ts';
import { type Board, openBoard } from '../../lib/core/board.ts';
import { cidrSet } from '../../lib/core/cidr.ts';
import { openShardStats, type ShardStats } from '../../lib/core/shard-stats.ts';
import { TimerWheel } from '../../lib/core/timer-wheel.ts';
import type { PoolSnapshot } from '../../lib/pool/snapshot.ts';
import { encodeProxyV1 } from '../../lib/proxy-protocol/encode.ts';
import { BackendDial } from '../../lib/session/backend-dial.ts';
import { ClientIdentity } from '../../lib/session/client-identity.ts';
import type { SessionContext } from '../../lib/session/context.ts';
import { createPreparer } from '../../lib/session/preparation-plan.ts';
import type { SessionRecord } from '../../lib/session/record.ts';
import { Session } from '../../lib/session/session.ts';
import type { Recalled, StickyMemory } from '../../lib/session/sticky.ts';
import { type WarmSource, WarmStock } from '../../lib/session/warm-stock.ts';
import type { ConnectionHandler } from '../../lib/transport/contract.ts';
import type { Random } from '../smtp/random.ts';
import { createFakeTransport, FakeConnection, FakeSocket } from './fake-transport.ts';
import { type BackendPeer, createBackend, createClient, type Peer, TEMPERS, type Temper } from './peers.ts';
import { randomPools } from './random-pools.ts';

export const HOST_NAME = 'edge.example';
export const TIMEOUTS = { proxyHeaderMs: 3_000, handshakeMs: 20_000, idleMs: 8_000 };
/** The clock never jumps further. */
export const LONGEST_JUMP_MS = 700;
/** Sessions at a time; what comes beyond waits outside. */
const CROWD = 14;

/** A session with all that was dialled for it. */
export interface Entry {
  readonly session: Session;
  readonly client: Peer;
  /** Octets of the PROXY header that the client sends first. */
  readonly headerOctets: number;
  readonly backends: BackendPeer[];
  readonly startedAtMs: number;
  /** What the client had been heard to say when it was not served yet. */
  earlyOctets: number;
  /** When a byte was last passed on or a phase begun, and how many had been by then. */
  movedAtMs: number;
  moved: number;
  phase: string;
  closed: number;
}

export interface World {
  readonly random: Random;
  readonly board: Board;
  readonly stats: ShardStats;
  readonly wheel: TimerWheel;
  readonly open: Set<Entry>;
  readonly closed: Entry[];
  readonly records: Map<string, SessionRecord[]>;
  /** What the contract forbids, and was done. */
  readonly complaints: string[];
  readonly errors: unknown[];
  /** Faults of the program that were put in on purpose. */
  readonly injected: number;
  readonly clients: ClientTable;
  /** How many sessions ended in which way. */
  readonly endings: Map<string, number>;
  readonly nowMs: number;
  readonly accepted: number;
  readonly descriptors: DescriptorBudget;
  /** Backends of connections that were opened ahead of clients, and not taken. */
  readonly warm: ReadonlyMap<FakeConnection, BackendPeer>;
  /** Connections that were. */
  readonly taken: number;
  /** Lets all of them go. */
  cool(): Promise<void>;
  readonly pool: PoolSnapshot;
  /** Sessions in the queue. */
  readonly waiting: number;
  step(): void;
  pass(ms: number): void;
}

/** `faulty`: parts of the program throw now and then. */
export function createWorld(random: Random, faulty: boolean): World {
  let nowMs = 1_000_000;
  let injected = 0;
  let accepted = 0;
  let ids = 0;
  const board = openBoard();
  const stats = openShardStats();
  const wheel = new TimerWheel(() => nowMs);
  const open = new Set<Entry>();
  const closed: Entry[] = [];
  const records = new Map<string, SessionRecord[]>();
  const complaints: string[] = [];
  const errors: unknown[] = [];
  const byHost = new Map<string, Entry>();
  const bySession = new Map<Session, Entry>();
  const onError = (error: unknown): void => void errors.push(error);
  const complain = (what: string): void => void complaints.push(what);
  const mayThrow = (oneIn: number): void => {
    if (!faulty || random.below(oneIn) > 0) return;
    injected++;
    throw new Error('put in on purpose');
  };

  const newPool = randomPools(random);
  const tempers = new Map<number, Temper>();

  const balancer = new Balancer(newPool(), {
    board,
    stats,
    now: () => nowMs,
    random: () => random.below(1_000) / 1_000,
    onBackendEvent: () => mayThrow(5),
  });

  /** Some questions are answered at once, some later, some never. */
  const answers: (() => void)[] = [];
  const memory: StickyMemory = {
    recall(_question, _serves, answered) {
      const { name } = random.pick(balancer.pool.backends);
      const recalled = random.pick<Recalled>([
        { backend: name, found: 'redis', gone: null },
        { backend: null, found: 'redis', gone: name },
        { backend: null, found: 'timeout', gone: null },
      ]);
      const kind = random.below(4);
      if (kind === 0) answered(recalled);
      else if (kind < 3) answers.push(() => answered(recalled));
      return () => {};
    },
    claim: () => mayThrow(20),
  };

  const clients = openClientTable(clientTableMemory({ clients: 256 }));
  const endings = new Map<string, number>();
  const perClient = { connections: 3 + random.below(8), rate: null, ipv6Prefix: 64, table: clients.memory };
  const rules = () => ({ allow: [], deny: [], connections: random.pick([6, 12, 50]), perClient });
  const admission = createAdmission(rules(), 0, board, () => nowMs);

  const descriptors = createDescriptorBudget(board, random.pick([8, 24, 1_000, 1_000]));
  const transport = createFakeTransport({ onDial, onError, complain });
  const preparer = createPreparer();
  const warmPeers = new Map<FakeConnection, BackendPeer>();
  let taken = 0;
  const lent = { board, stats, transport, wheel, preparer, descriptors, onError };
  const warm = new WarmStock({ ...lent, random: () => random.below(1_000) / 1_000 });
  warm.update([{ pool: balancer.pool, balancer }], HOST_NAME);
  const context: SessionContext = {
    listener: {
      row: 0,
      name: 'mx',
      addresses: [],
      backlog: 1,
      pool: 'mx',
      proxyFrom: [{ family: 'ipv4', host: '10.0.0.0', prefix: 8 }],
      admission: rules(),
      tls: null,
      routing: null,
      timeouts: TIMEOUTS,
    },
    balancer,
    admission,
    proxyFrom: cidrSet([{ family: 'ipv4', host: '10.0.0.0', prefix: 8 }]),
    descriptors,
    tls: null,
    routing: null,
    transport,
    preparer,
    warm,
    wheel,
    sticky: memory,
    stats,
    hostName: HOST_NAME,
    nextId: () => `s-${ids++}`,
    record(record) {
      endings.set(record.termination, (endings.get(record.termination) ?? 0) + 1);
      records.set(record.id, [...(records.get(record.id) ?? []), record]);
      mayThrow(20);
    },
    onClosed(session) {
      const entry = bySession.get(session) as Entry;
      entry.closed++;
      open.delete(entry);
      closed.push(entry);
    },
    onError,
  };

  function onDial(connection: FakeConnection, handler: ConnectionHandler): void {
    mayThrow(50);
    const whom = handler instanceof BackendDial ? handler.whom : null;
    const entry = whom instanceof ClientIdentity ? byHost.get(whom.host) : undefined;
    const { row } = balancer.pool.backends.find(({ address }) => address === connection.remote) ?? {
      row: -1,
    };
    const peer = createBackend(connection.socket, random, tempers.get(row) ?? random.pick(TEMPERS));
    if (entry !== undefined) entry.backends.push(peer);
    else if (balancer.pool.warm !== undefined) warmPeers.set(connection, peer);
    else complain('a backend was dialled for nobody');
  }

  /** The stock as one session sees it: what it takes is its own, and nobody else's. */
  const stockOf = (entryOf: () => Entry): WarmSource => ({
    take(...of) {
      const found = warm.take(...of);
      if (found === null) return null;
      const connection = found.connection as FakeConnection;
      const peer = warmPeers.get(connection);
      warmPeers.delete(connection);
      taken++;
      if (peer === undefined) complain('a warm connection was given to two sessions');
      else entryOf().backends.push(peer);
      return found;
    },
    died: (...of) => warm.died(...of),
  });

  const accept = (): void => {
    const number = ++accepted;
    const address = (host: string) => ipAddress(host, 1_024 + (number % 60_000)) as Address;
    const host = `2001:db8:0:${1 + random.below(4)}::${number.toString(16)}`;
    const header =
      random.below(5) === 0
        ? encodeProxyV1({ source: address(host), destination: address('2001:db8::1') })
        : null;
    const socket = new FakeSocket(onError);
    const remote = header === null ? address(host) : address('10.1.2.3');
    const connection = new FakeConnection(socket, remote, address('2001:db8::1'), complain);
    const session = new Session({ ...context, warm: stockOf(() => entry) }, connection);
    const client = createClient(socket, random, header);
    const entry: Entry = {
      session,
      client,
      headerOctets: header?.length ?? 0,
      backends: [],
      startedAtMs: nowMs,
      earlyOctets: 0,
      movedAtMs: nowMs,
      moved: 0,
      phase: session.view().phase,
      closed: 0,
    };
    open.add(entry);
    byHost.set(host, entry);
    bySession.set(session, entry);
    session.guard(() => session.begin());
  };

  const pass = (ms: number): void => {
    nowMs += ms;
    wheel.advance();
    for (const answer of answers.splice(0, random.below(answers.length + 1))) answer();
    if (balancer.waiting > 0) balancer.serveQueue();
    warm.tend();
    for (const [connection] of warmPeers) if (connection.socket.over) warmPeers.delete(connection);
  };

  /** The operator has another pool. */
  const update = (): void => {
    const next = newPool();
    warm.update([{ pool: next, balancer }], HOST_NAME);
    balancer.update(next);
  };

  const operate = (): void => {
    const kind = random.below(10);
    if (kind < 4) {
      for (const { row } of balancer.pool.backends) tempers.delete(row);
      if (kind < 3) tempers.set(random.below(4), random.pick(TEMPERS));
    } else if (kind < 7) update();
    else if (kind < 9) admission.update(rules());
    else {
      const { name } = random.pick(balancer.pool.backends);
      for (const { session } of open) {
        if (session.servedBy('mx', name)) session.guard(() => void session.evict());
      }
    }
  };

  const act = (): void => {
    if (warmPeers.size > 0 && random.below(2) === 0) {
      const peer = random.pick([...warmPeers.values()]);
      if (random.below(2) === 0) peer.act();
      else peer.socket.deliver();
      return;
    }
    if (open.size === 0) return;
    const entry = random.pick([...open]);
    for (let tries = 0; tries < 4; tries++) {
      const peer = random.pick([entry.client, ...entry.backends]);
      if (random.below(2) === 0 ? peer.act() : peer.socket.deliver()) return;
    }
  };

  return {
    random,
    board,
    stats,
    wheel,
    open,
    closed,
    records,
    complaints,
    errors,
    clients,
    descriptors,
    endings,
    warm: warmPeers,
    get taken() {
      return taken;
    },
    cool: () => warm.close(),
    get nowMs() {
      return nowMs;
    },
    get pool() {
      return balancer.pool;
    },
    get waiting() {
      return balancer.waiting;
    },
    get injected() {
      return injected;
    },
    get accepted() {
      return accepted;
    },
    step() {
      const kind = random.below(200);
      if (kind === 0) operate();
      else if (kind < 8) pass(random.below(LONGEST_JUMP_MS));
      else if (kind < 16 && open.size < CROWD) accept();
      else act();
    },
    pass,
  };
}
