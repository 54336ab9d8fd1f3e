/** What happens to sessions, counts, log and memory while something happens to Redis: measured, told and held to. */
import type { Test } from 'tap';
import { HEARTBEAT_MS, RECONNECT_MS } from '../../lib/cluster/limits.ts';
import { megabytes } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { ALONE, type Arena, type Edge, isKnown, LIMIT, rememberedOf } from './redis-arena.ts';
import { cpu, grown, readEdges } from './redis-readings.ts';
import { type Served, waited } from './redis-traffic.ts';

/** `sticky.timeout`, as it is unless configured. */
const STICKY_MS = 20;
/** What a busy machine may add to the 99th percentile, and to the longest wait. Who waits for Redis waits for longer. */
const SLACK_MS = 150;
const STALL_MS = 1_500;
/** Sessions in the time in which nothing is done. */
const ENOUGH = 250;
/** What a busy machine may make true at any time, and untrue again. */
const SLOWNESS = /sticky look-ups/;
/** What the heap of a young process may grow by, whatever happens. */
const GROWTH = 60e6;

export interface Ordeal {
  readonly what: string;
  /** Does it; resolves when it is done, or has begun. */
  readonly begin: () => unknown;
  /** Instances beside the two, until it begins. */
  readonly others?: readonly Edge[];
  /** Sessions that pass while it lasts. */
  readonly sessions?: number;
  /** Both instances say that Redis is not reachable before the sessions are counted that pass meanwhile. */
  readonly isNoticed?: boolean;
  /** Puts it right. */
  readonly end?: () => unknown;
  /** Milliseconds until counts are true, from when Redis is back. */
  readonly healMs?: number;
  /** Sessions of clients that an instance knows are served where they were. Default true. */
  readonly keepsKnown?: boolean;
  /** How often it happens: each time may be told. Default 1. */
  readonly blows?: number;
  /** The most lines in the log of an instance. Default 8, for each blow. */
  readonly lines?: number;
}

/** Runs traffic without it, with it and after it. */
export async function ordeal(t: Test, arena: Arena, options: Ordeal): Promise<void> {
  const {
    begin,
    end = () => {},
    healMs = HEARTBEAT_MS,
    isNoticed = false,
    others = [],
    sessions = ENOUGH,
    what,
  } = options;
  const { edges, traffic } = arena;
  const quiet = await readEdges(edges);
  await traffic.more(ENOUGH);
  // How long a change takes to be true everywhere while nothing is the matter.
  const usualFromMs = performance.now();
  await arena.hold(edges[0], 1);
  await arena.countsAreTrue(others);
  const usualMs = performance.now() - usualFromMs;
  await arena.hold(edges[0], -1);
  await arena.countsAreTrue(others);

  const marks = edges.map(({ command }) => command.process.stdout.length);
  const linesSince = (at: number): string[] => edges[at]?.lines(marks[at]).map(({ msg }) => `${msg}`) ?? [];
  const bothLogged = async (line: RegExp): Promise<void> => {
    for (const at of [0, 1])
      await eventually(`${line} in the log`, () => linesSince(at).some(text => line.test(text)), 30_000);
  };
  const began = await readEdges(edges);
  await begin();
  if (isNoticed) await bothLogged(/^redis is not reachable/);
  // What the others are not told meanwhile must not be lost.
  await arena.hold(edges[0], -2);
  await arena.hold(edges[1], 4);
  await traffic.more(sessions);
  const ended = await readEdges(edges);
  await end();
  if (isNoticed) await bothLogged(/^redis is reachable/);
  const reachableMs = performance.now();
  await arena.countsAreTrue();
  const trueMs = performance.now();
  await traffic.more(ENOUGH / 2);
  const last = await readEdges(edges);

  const within = (fromMs: number, tillMs: number) =>
    traffic.served.filter(({ beganMs }) => beganMs >= fromMs && beganMs < tillMs);
  const between = (fromMs: number, tillMs: number) =>
    within(fromMs, tillMs).filter(({ pool }) => pool !== ALONE);
  const alone = within(began.atMs, Number.POSITIVE_INFINITY).filter(({ pool }) => pool === ALONE);
  const before = between(quiet.atMs, began.atMs);
  const during = between(began.atMs, ended.atMs);
  const after = between(ended.atMs, Number.POSITIVE_INFINITY);
  const since = [...during, ...after];
  const failed = since.filter(({ fault }) => fault !== null);
  const rss = grown(began, last, 'rss');
  const reconnects = grown(began, last, 'reconnects');
  t.comment(
    `${what}: ${during.length} sessions in ${seconds(ended.atMs - began.atMs)}, ${after.length} after it`,
  );
  t.comment(
    `  until the greeting: ${waits(during)}; without it: ${waits(before)}; after it: ${waits(after)}`,
  );
  t.comment(`  through an instance that knows of no Redis meanwhile: ${waits(alone)}`);
  t.comment(
    `  redis was back after ${seconds(reachableMs - ended.atMs)}, counts were true ${seconds(trueMs - reachableMs)} later, ` +
      `${seconds(trueMs - began.atMs)} after it began; usually within ${seconds(usualMs)}`,
  );
  t.comment(`  sticky: ${stickiness(during)}; after it: ${stickiness(after)}`);
  t.comment(
    `  of a core: ${cpu(began, ended)}, without it ${cpu(quiet, began)}; memory: ${rss.map(megabytes).join(', ')} more; ` +
      `connections made anew: ${reconnects.join(', ')}`,
  );

  t.same(
    [...new Set(failed.map(({ pool, fault }) => `${pool}: ${fault}`))],
    [],
    `${failed.length} failed sessions`,
  );
  // The machine may be busier than it was before.
  const usual = (part: number) => 2 * Math.max(waited(before, part), waited(alone, part));
  const bound = usual(0.99) + STICKY_MS + SLACK_MS;
  t.ok(waited(since, 0.99) < bound, `the 99th percentile is under ${bound | 0} ms`);
  const longest = STICKY_MS + Math.max(STALL_MS, usual(1));
  t.ok(waited(since, 1) < longest, `nobody waited for Redis: for less than ${longest | 0} ms`);
  t.ok(traffic.most('capped', 'b1') <= LIMIT, `${traffic.most('capped', 'b1')} of ${LIMIT} slots at most`);
  const lateMs = SLACK_MS + 2 * (usualMs + waited(alone, 1));
  t.ok(
    trueMs - reachableMs < healMs + lateMs,
    `counts were true within ${healMs} ms, and ${lateMs | 0} ms for the machine`,
  );
  if (options.keepsKnown ?? true)
    t.equal(since.filter(one => isKnown(one.client) && isLost(one)).length, 0, 'known clients stay');
  for (const at of [0, 1]) oneLineEach(t, linesSince(at), at, options);
  for (const octets of rss) t.ok(octets < GROWTH, 'memory stays what it was');
  // On the average three in two pauses of the longest kind, and some while pauses are short.
  const most = 8 + (1.5 * (last.atMs - began.atMs)) / RECONNECT_MS;
  for (const count of reconnects) t.ok(count <= most, `at most ${most | 0} connections made anew`);
}

/** Each change of state is told, and once. */
function oneLineEach(t: Test, lines: readonly string[], at: number, { blows = 1, ...options }: Ordeal): void {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  for (const [line, count] of counts) t.comment(`  log of instance ${at + 1}: ${count} x ${line}`);
  const often = [...counts].filter(([line, count]) => count > blows && !SLOWNESS.test(line));
  t.same(often, [], 'one line for each change');
  const most = options.lines ?? 8 * blows;
  t.ok(lines.filter(line => !SLOWNESS.test(line)).length <= most, `${lines.length} lines`);
}

const isLost = ({ pool, client, backend }: Served): boolean =>
  pool === 'sticky' && backend !== rememberedOf(client);

function stickiness(sessions: readonly Served[]): string {
  const sticky = sessions.filter(({ pool }) => pool === 'sticky');
  const tell = (which: readonly Served[]) => `${which.filter(isLost).length} of ${which.length}`;
  const known = sticky.filter(({ client }) => isKnown(client));
  const strange = sticky.filter(({ client }) => !isKnown(client));
  return `${tell(known)} sessions lost their backend where the instance knew the client, ${tell(strange)} elsewhere`;
}

function waits(sessions: readonly Served[]): string {
  const [p50, p99, all] = [0.5, 0.99, 1].map(part => waited(sessions, part).toFixed(1));
  return `p50 ${p50}, p99 ${p99}, at most ${all} ms`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}
