/** An instance under test: the whole program, in this process, on free ports, its log in the test's hands. */
import { EventEmitter, on } from 'node:events';
import { formatFault } from '../../lib/config/faults.ts';
import { loadConfigText } from '../../lib/config/load.ts';
import type { Address } from '../../lib/core/address.ts';
import { type Server, startServer } from '../../lib/server.ts';
import { chooseShards, type ShardChoice } from '../../lib/shards.ts';
import { FAST_TRANSPORTS, loadFast, type TransportName } from '../../lib/transport/fast.ts';
import { eventually, within } from './eventually.ts';
import { type Metrics, scrape } from './metrics.ts';
import type { Owner } from './owner.ts';

const asked = process.env['SMTPLB_TRANSPORTS'];

/**
 * What end-to-end tests run on, the fastest last: the transport that `auto` takes here, or those that are named, as in
 * `SMTPLB_TRANSPORTS=net,epoll`; with `all` every one that can be had here, with `rest` those that `npm test` leaves out.
 */
export const TRANSPORTS = await (asked === undefined ? chosen() : named(asked));
/** The last of them, for what one transport shows as well as another. */
export const FASTEST: TransportName = TRANSPORTS.at(-1) ?? 'net';
/** The reference as well, unless others are named: for tests that tell much of a transport. */
export const WITH_NET: readonly TransportName[] =
  asked === undefined ? [...new Set<TransportName>(['net', FASTEST])] : TRANSPORTS;
/**
 * For what is decided above the transports, checks, verbs, the cluster: the last of them, and `net` where it is among them, with
 * which a shard needs no thread of its own.
 */
export const ABOVE_TRANSPORTS: readonly TransportName[] = TRANSPORTS.filter(
  name => name === 'net' || name === FASTEST,
);
export type { TransportName };

async function chosen(): Promise<readonly TransportName[]> {
  const { seats } = await chooseShards({ shards: 1, transport: 'auto' });
  return [seats[0]?.transport ?? 'net'];
}

async function named(names: string): Promise<readonly TransportName[]> {
  const known: readonly TransportName[] = ['net', ...FAST_TRANSPORTS.toReversed()];
  if (names !== 'all' && names !== 'rest')
    return names.split(',').map(name => {
      const found = known.find(one => one === name);
      if (found === undefined) throw new Error(`SMTPLB_TRANSPORTS: there is no transport ${name}`);
      return found;
    });
  const here: TransportName[] = [];
  for (const name of known)
    if (name === 'net' || (await loadFast(name)).reason === undefined) here.push(name);
  const left = names === 'rest' ? await chosen() : [];
  return here.filter(name => !left.includes(name));
}

/** Shards of each instance that names no number itself, as in `SMTPLB_SHARDS=2`. */
const SHARDS = Number(process.env['SMTPLB_SHARDS'] ?? 1);

/** One line of the log, parsed. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface Instance {
  readonly server: Server;
  /** What a reload will find, completed as at the start; any text, to try a bad file. */
  configure(settings: Settings | string): void;
  /** Where the listener listens, its first address; the only listener's unless named. */
  address(listener?: string): Address;
  readonly admin: Address;
  /** All lines so far. */
  readonly log: readonly LogLine[];
  /** The first line that fits, past or to come. */
  logged(what: string, fits: (line: LogLine) => boolean): Promise<LogLine>;
  /** The records of the first `count` sessions that ended, past or to come; shards tell them batch by batch. */
  sessions(count: number): Promise<readonly LogLine[]>;
  /** The record of the first session at a listener that ended, past or to come. */
  sessionAt(listener: string): Promise<LogLine>;
  metrics(): Promise<Metrics>;
  /** Resolves when every count is back at zero; rejects with what is not. */
  idle(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * A configuration as a file would hold it, without what tests always want: port 0 on loopback where `listen` is left
 * out, an admin listener, the access log.
 */
export interface Settings {
  readonly listeners: readonly Readonly<Record<string, unknown>>[];
  readonly pools: readonly Readonly<Record<string, unknown>>[];
  readonly [key: string]: unknown;
}

/** The usual case: one listener `mx` and one pool `mx` before these backends. */
export function mx(
  backends: readonly (string | Readonly<Record<string, unknown>>)[],
  pool: Readonly<Record<string, unknown>> = {},
  listener: Readonly<Record<string, unknown>> = {},
): Settings {
  const named = backends.map((backend, at) =>
    typeof backend === 'string'
      ? { name: `b${at + 1}`, address: backend }
      : { name: `b${at + 1}`, ...backend },
  );
  return {
    listeners: [{ name: 'mx', pool: 'mx', ...listener }],
    pools: [{ name: 'mx', ...pool, backends: named }],
  };
}

const endOf = (record: LogLine): number =>
  Date.parse(String(record['started'])) + Number(record['durationMs']);

/** Starts an instance; it is stopped, and must have become idle, when the test ends. */
export async function startInstance(
  owner: Owner,
  transport: TransportName,
  settings: Settings,
  shards?: ShardChoice,
): Promise<Instance> {
  const textOf = ({ listeners, ...rest }: Settings): string =>
    JSON.stringify({
      instance: 'test',
      hostName: 'lb.example',
      transport,
      shards: SHARDS,
      drainTimeout: '5s',
      admin: { listen: '127.0.0.1:0' },
      log: { level: 'debug', access: true },
      ...rest,
      listeners: listeners.map(listener => ({ listen: '127.0.0.1:0', ...listener })),
    });
  let text = textOf(settings);
  const read = async () => loadConfigText(text, 'settings', {});
  const loaded = await read();
  if (!loaded.ok) throw new Error(loaded.faults.map(formatFault).join('\n'));

  const log: LogLine[] = [];
  const lines = new EventEmitter();
  lines.setMaxListeners(0);
  const write = (text: string): void => {
    const line = JSON.parse(text) as LogLine;
    log.push(line);
    lines.emit('line', line);
  };
  const server = await startServer(loaded.config, { log: { write }, read, ...(shards && { shards }) });

  const logged = async (what: string, fits: (line: LogLine) => boolean): Promise<LogLine> => {
    const past = log.find(fits);
    if (past !== undefined) return past;
    const wait = new AbortController();
    const search = async (): Promise<LogLine> => {
      for await (const [line] of on(lines, 'line', { signal: wait.signal })) if (fits(line)) return line;
      throw new Error('the log has ended');
    };
    try {
      return await within(`the log line: ${what}`, search());
    } finally {
      wait.abort();
    }
  };
  const isRecord = (line: LogLine): boolean => line['msg'] === 'session';
  const records = () => log.filter(isRecord);

  const instance: Instance = {
    server,
    log,
    logged,
    configure(next) {
      text = typeof next === 'string' ? next : textOf(next);
    },
    address(listener) {
      const [first] =
        listener === undefined ? [...server.listening.values()] : [server.listening.get(listener)];
      const address = first?.[0];
      if (address === undefined) throw new Error(`there is no listener ${listener}`);
      return address;
    },
    get admin() {
      if (server.admin === null) throw new Error('there is no admin listener');
      return server.admin;
    },
    async sessions(count) {
      await logged(`session ${count}`, () => records().length >= count);
      const ended = SHARDS > 1 ? records().sort((one, other) => endOf(one) - endOf(other)) : records();
      return ended.slice(0, count);
    },
    sessionAt: listener =>
      logged(`a session at ${listener}`, line => isRecord(line) && line['listener'] === listener),
    metrics: () => scrape(instance.admin),
    async idle() {
      await eventually('all counts at zero', async () => {
        const metrics = await instance.metrics();
        for (const gauge of [
          'smtplb_sessions_active',
          'smtplb_backend_sessions_active',
          'smtplb_queue_length',
        ]) {
          if (metrics.sum(gauge) !== 0) throw new Error(`${gauge} is ${metrics.sum(gauge)}`);
        }
        return true;
      });
    },
    stop: () => server.stop(),
  };
  owner.teardown(async () => {
    const stopped = server.stop();
    void server.stop(); // whoever is left is ended now
    await stopped;
  });
  return instance;
}
