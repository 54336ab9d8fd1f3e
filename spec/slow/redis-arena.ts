/**
 * Two instances that share a Redis, with all that may depend on it: counts, a limit over the cluster, limits on clients,
 * shared checks and sticky clients. Sessions go through both all the time, and something is done to Redis meanwhile.
 */
import type { Test } from 'tap';
import { keysOf } from '../../lib/cluster/keys.ts';
import { formatAddress, type IpAddress } from '../../lib/core/address.ts';
import { settle } from '../cluster/leasing.ts';
import { type Command, type CommandOptions, startCommand } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import type { LogLine } from '../support/instance.ts';
import type { RedisServer } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient, type SmtpClient } from '../support/smtp-client.ts';
import { type Stream, startTraffic, type Traffic } from './redis-traffic.ts';

export const keys = keysOf('edge');
/** Slots of the limited backend; sessions want more of them now and then. */
export const LIMIT = 6;
/** The pool of sessions through an instance that knows of no Redis: what they wait for is the machine. */
export const ALONE = 'alone';
/** Sessions there, one after the other, that waited for less: the programs have started, and the machine keeps up. */
const CALM = { sessions: 50, ms: 500 };
/** More sessions, before anything is measured. */
const WARM = 125;
const KNOWN = 40;
/** A client that both instances speak of all the time: it has more than a quarter of what it may have, at each. */
const BUSY = '127.3.0.1';
const BUSY_HOLDS = 40;
/** If its sessions at one instance were counted twice, it would be refused. */
const PER_CLIENT = { connections: 100, rate: '200/20s', scope: 'cluster' };
const STICKY_BACKENDS = 3;

export interface Edge {
  readonly command: Command;
  /** Sessions held open at the pool `held`, which nobody else uses. */
  readonly held: SmtpClient[];
  /** What it says of itself in the log since then, sessions left out. */
  readonly lines: (from?: number) => readonly LogLine[];
}

export interface Arena {
  readonly redis: RedisServer;
  readonly edges: readonly [Edge, Edge];
  readonly traffic: Traffic;
  /** Starts one more instance of the cluster; no traffic goes through it. */
  another(name: string): Promise<Edge>;
  /** Opens so many sessions at an instance, or ends some; they are counted by the other. */
  hold(edge: Edge, change: number): Promise<void>;
  /** Resolves when each of the two counts what all have, with `others` the instances beside them that should be there. */
  countsAreTrue(others?: readonly Edge[]): Promise<void>;
}

export interface ArenaOptions {
  /** `cluster.redis` of the configuration; the server's URL unless given. */
  readonly way?: unknown;
  /** How each of the two is started. */
  readonly start?: readonly [CommandOptions, CommandOptions];
}

/** Resolves when both instances serve, know of each other and of the clients that come often. */
export async function startArena(t: Test, redis: RedisServer, options: ArenaOptions = {}): Promise<Arena> {
  await settle(redis, 'capped/b1');
  await remember(redis);
  const named = async (hostName: string) =>
    formatAddress((await startScriptedBackend(t, smtp({ hostName }))).address);
  const backends = await Promise.all(['b1', 'b2', 'b3'].map(name => named(`${name}.example`)));
  const [b1 = '', b2 = ''] = backends;
  const pool = (name: string, of: readonly object[], rest: object = {}) => ({ name, ...rest, backends: of });
  const plain = backends.map((address, at) => ({ name: `b${at + 1}`, address }));
  const settings = (instance: string) => ({
    instance,
    cluster: { name: 'edge', redis: options.way ?? `redis://127.0.0.1:${redis.port}` },
    log: { level: 'info', access: false },
    listeners: ['held', 'limited', 'capped', 'sticky'].map(name => ({
      name,
      pool: name,
      ...(name === 'limited' && { limits: { perClient: PER_CLIENT } }),
    })),
    pools: [
      pool('held', plain),
      // One checks for both, and no backend may be taken for down whatever becomes of Redis.
      pool('limited', plain, { check: { type: 'smtp', interval: '500ms', instances: 1 } }),
      pool('capped', [
        { name: 'b1', address: b1, maxConnections: { count: LIMIT, scope: 'cluster' } },
        { name: 'b2', address: b2, backup: true },
      ]),
      pool('sticky', plain, { sticky: { by: 'client-address' } }),
    ],
  });
  const edge = async (name: string, start?: CommandOptions): Promise<Edge> => {
    const command = await startCommand(t, settings(name), start);
    // How they stop is another test's: here whole crowds would be waited for.
    t.teardown(() => command.process.kill('SIGKILL'));
    return { command, held: [], lines: (from = 0) => linesOf(command, from) };
  };
  const alone = await startCommand(t, {
    instance: 'alone',
    log: { level: 'info', access: false },
    listeners: [{ name: ALONE, pool: ALONE }],
    pools: [pool(ALONE, plain)],
  });
  const [first, second] = options.start ?? [];
  const edges = await Promise.all([edge('one', first), edge('two', second)]);
  for (const { command } of edges) await command.process.printed(/"msg":"redis is reachable"/);

  // The capped pool has a little more to do than its limit allows, the others as much as a test can watch.
  let fresh = 0;
  const through = edges.flatMap(({ command }): Stream[] => {
    const to = (listener: string) => command.addressOf(listener) as IpAddress;
    const some = () => known(Math.floor(Math.random() * KNOWN));
    return [
      { pool: 'limited', to: to('limited'), from: some, everyMs: 80, stayMs: 0 },
      { pool: 'limited', to: to('limited'), from: () => BUSY, everyMs: 500, stayMs: 0 },
      { pool: 'capped', to: to('capped'), from: () => '127.0.0.1', everyMs: 60, stayMs: 200 },
      { pool: 'sticky', to: to('sticky'), from: some, everyMs: 60, stayMs: 0 },
      { pool: 'sticky', to: to('sticky'), from: () => stranger(fresh++), everyMs: 120, stayMs: 0 },
    ];
  });
  const streams = [
    ...through,
    { pool: ALONE, to: alone.address as IpAddress, from: () => '127.0.0.1', everyMs: 30, stayMs: 0 },
  ];
  await introduce(t, edges);
  await keepBusy(t, edges, redis);
  const traffic = startTraffic(t, streams);
  const arena: Arena = {
    redis,
    edges,
    traffic,
    another: edge,
    hold: (edge, change) => hold(t, edge, change),
    countsAreTrue: (others = []) => countsAreTrue(edges, [...edges, ...others]),
  };
  await eventually(
    'a machine that keeps up',
    () => {
      const last = traffic.served.filter(({ pool }) => pool === ALONE).slice(-CALM.sessions);
      return last.length === CALM.sessions && last.every(({ waitedMs }) => waitedMs < CALM.ms);
    },
    120_000,
  );
  await arena.hold(edges[0], 5);
  await arena.hold(edges[1], 3);
  await arena.countsAreTrue();
  await traffic.more(WARM);
  return arena;
}

/** Clients that each instance has served before anything happened have such an address. */
export const isKnown = (client: string): boolean => client.startsWith('127.1.');
const known = (at: number): string => `127.1.0.${at + 1}`;
const stranger = (at: number): string => `127.2.${1 + (at >> 7)}.${1 + (at & 127)}`;

/** The backend that Redis remembers for a client: another than the hash's for two in three. */
export function rememberedOf(client: string): string {
  return `b${1 + (Number(client.split('.').at(-1)) % STICKY_BACKENDS)}`;
}

/** Redis knows many more clients than the instances do. */
async function remember({ cli }: RedisServer): Promise<void> {
  const script = `for _, net in ipairs({ '127.1.0.', '127.2.1.', '127.2.2.', '127.2.3.', '127.2.4.', '127.2.5.', '127.2.6.' }) do
    for host = 1, 128 do
      redis.call('SET', KEYS[1] .. net .. host, 'b' .. (1 + host % ${STICKY_BACKENDS}), 'PX', 3600000)
    end
  end`;
  await cli('eval', script, '1', `${keys.prefix}sticky:sticky:`);
}

/** Each instance serves each client that comes often once, and has it in its own memory from then on. */
async function introduce(t: Test, edges: readonly Edge[]): Promise<void> {
  for (const { command } of edges) {
    for (let at = 0; at < KNOWN; at++) {
      const client = await connectClient(t, command.addressOf('sticky'), { from: known(at) });
      await client.expect(220);
      await client.command('QUIT', 221);
      client.end();
    }
  }
}

/** Resolves when both instances have sessions of the busy client, and have told each other. */
async function keepBusy(t: Test, edges: readonly Edge[], { cli }: RedisServer): Promise<void> {
  for (const { command } of edges) {
    for (let held = 0; held < BUSY_HOLDS; held++) {
      const client = await connectClient(t, command.addressOf('limited'), { from: BUSY });
      await client.expect(220);
    }
  }
  await eventually('both to speak of the busy client', async () => {
    const values = await cli('hvals', `${keys.prefix}client:limited:${BUSY}`);
    return values.split('\n').filter(value => value.startsWith(`${BUSY_HOLDS} `)).length === edges.length;
  });
}

function linesOf({ process }: Command, from: number): LogLine[] {
  const lines = process.stdout.slice(from).split('\n');
  return lines.filter(text => text.startsWith('{') && text.endsWith('}')).map(text => JSON.parse(text));
}

async function hold(t: Test, { command, held }: Edge, change: number): Promise<void> {
  for (let count = 0; count < change; count++) {
    const client = await connectClient(t, command.addressOf('held'));
    await client.expect(220, 30_000);
    held.push(client);
  }
  for (const client of held.splice(0, Math.max(0, -change))) {
    await client.command('QUIT', 221);
    client.end();
  }
}

async function countsAreTrue(edges: readonly Edge[], all: readonly Edge[]): Promise<void> {
  for (const { command } of edges) {
    await eventually('true counts', async () => {
      const expected = all.reduce((sum, { held }) => sum + held.length, 0);
      const metrics = await command.metrics();
      const counted = metrics.samples.get('smtplb_cluster_backend_sessions_active') ?? [];
      const sum = counted
        .filter(({ labels }) => labels.get('pool') === 'held')
        .reduce((total, { value }) => total + value, 0);
      const instances = metrics.value('smtplb_cluster_instances');
      if (instances !== all.length || counted.length === 0 || sum !== expected)
        throw new Error(`${sum} of ${expected} sessions, ${instances} instances`);
      return true;
    });
  }
}
