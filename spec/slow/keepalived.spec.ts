/** docs/keepalived.md, tried: a virtual address moves between two instances under load, with a real keepalived. */
import t from 'tap';
import { eventually } from '../support/eventually.ts';
import { needsRoot } from '../support/needs.ts';
import type { Running } from '../support/processes.ts';
import {
  type ClientEvent,
  type Host,
  killAll,
  type Network,
  startClients,
  startKeepalived,
  startNetwork,
  startSink,
  startSmtplb,
} from './virtual-address.ts';

/** New sessions that are greeted before the next thing happens. */
const GREETINGS = 25;
/** Sessions that the clients keep open. */
const HELD = 20;

/** What a move of the address cost. */
interface Cost {
  /** The longest time in which no client was greeted. */
  readonly withoutGreetingMs: number;
  /** Sessions held open that ended, and how. */
  readonly lost: number;
  /** New sessions that failed, and how: they will be tried again. */
  readonly failed: number;
  readonly how: string;
}

function costOf(events: readonly ClientEvent[], fromMs: number): Cost {
  const greetings = events.filter(({ kind }) => kind === 'greeting').map(({ atMs }) => atMs);
  const before = greetings.filter(atMs => atMs < fromMs).at(-1) ?? fromMs;
  const after = greetings.filter(atMs => atMs >= fromMs);
  const gaps = after.map((atMs, at) => atMs - (after[at - 1] ?? before));
  const since = events.filter(({ atMs }) => atMs >= fromMs);
  const tally = new Map<string, number>();
  for (const { how = '', kind } of since) {
    if (kind === 'lost' || kind === 'failed')
      tally.set(`${kind} ${how}`, (tally.get(`${kind} ${how}`) ?? 0) + 1);
  }
  return {
    withoutGreetingMs: Math.max(...gaps),
    lost: since.filter(({ kind }) => kind === 'lost').length,
    failed: since.filter(({ kind }) => kind === 'failed').length,
    how: [...tally].map(([how, count]) => `${count} ${how}`).join(', '),
  };
}

const other = (host: Host): Host => (host === 'one' ? 'two' : 'one');

t.test(
  'a virtual address moves to the other instance',
  {
    timeout: 300_000,
    ...needsRoot('ip', 'keepalived', 'curl'),
  },
  async t => {
    const network: Network = startNetwork(t);
    const sink = await startSink(network);
    const smtplb: Record<Host, Running> = {
      one: await startSmtplb(t, network, 'one'),
      two: await startSmtplb(t, network, 'two'),
    };
    const keepalived: Record<Host, Running> = {
      one: await startKeepalived(t, network, 'one'),
      two: await startKeepalived(t, network, 'two'),
    };
    await eventually('one host has the address', () => network.holds('one') !== network.holds('two'));
    const clients = startClients(network, HELD);
    const { events } = clients;
    const greetedSince = (fromMs: number, count: number) =>
      eventually(
        'clients to be greeted again',
        () => events().filter(({ atMs, kind }) => kind === 'greeting' && atMs >= fromMs).length >= count,
        30_000,
      );
    const settled = async () => {
      const fromMs = Date.now();
      await greetedSince(fromMs, GREETINGS);
      await eventually('held sessions', () => {
        const all = events();
        const count = (kind: ClientEvent['kind']) => all.filter(event => event.kind === kind).length;
        return count('held') - count('lost') >= HELD;
      });
    };
    const holder = (): Host => (network.holds('one') ? 'one' : 'two');

    /** The longest time without a greeting while nothing happens: what this machine adds by itself. */
    const usualGapMs = (tillMs: number): number => {
      const times = events().filter(({ atMs, kind }) => kind === 'greeting' && atMs < tillMs);
      const last = times.slice(-GREETINGS).map(({ atMs }) => atMs);
      return Math.max(...last.map((atMs, at) => atMs - (last[at - 1] ?? atMs)));
    };

    /** Does something to the host that has the address, and tells what the clients saw until the other has it. */
    const move = async (what: string, strike: (host: Host) => unknown, boundMs: number): Promise<Host> => {
      await settled();
      const from = holder();
      const fromMs = Date.now();
      const usualMs = usualGapMs(fromMs);
      strike(from);
      const to = smtplb[other(from)];
      const served = () => to.stdout.split('"msg":"session"').length;
      const servedBefore = served();
      await eventually('the other host to serve', () => served() >= servedBefore + 25, 30_000);
      // A session whose host is out of reach is lost when its client next speaks, and hears nothing or a reset.
      const lost = () => events().filter(({ atMs, kind }) => kind === 'lost' && atMs >= fromMs).length;
      await eventually('the held sessions to be lost', () => lost() >= HELD);
      const cost = costOf(events(), fromMs);
      t.comment(
        `${what}: ${cost.withoutGreetingMs} ms without a greeting; of ${HELD} sessions held ${cost.lost} were lost, ` +
          `${cost.failed} new ones failed (${cost.how})`,
      );
      // The checks are programs that the machine has to start, once a second.
      const lateMs = boundMs + 20 * usualMs;
      t.ok(cost.withoutGreetingMs < lateMs, `${what}: greeted again within ${boundMs} ms, here ${lateMs} ms`);
      return from;
    };

    let host = await move('smtplb killed', from => smtplb[from].kill('SIGKILL'), 5_000);
    smtplb[host] = await startSmtplb(t, network, host);
    await settled();
    t.notOk(network.holds(host), 'who comes back does not take the address back');

    host = await move('the cable cut', from => network.cable(from, 'down'), 5_000);
    network.cable(host, 'up');
    const back = host;
    await eventually('the host that was cut off to be a backup', () => !network.holds(back));

    host = await move('keepalived killed', from => killAll(network, from, 'keepalived'), 5_000);
    keepalived[host] = await startKeepalived(t, network, host);
    const again = host;
    await eventually('the one started again to be a backup', () => !network.holds(again));

    host = await move('keepalived stopped', from => keepalived[from].kill('SIGTERM'), 2_000);
    keepalived[host] = await startKeepalived(t, network, host);

    host = await move('smtplb told to stop', from => smtplb[from].kill('SIGTERM'), 5_000);

    clients.process.kill('SIGTERM');
    await clients.process.exited;
    await sink.stop();
    const accepted = events().filter(({ kind }) => kind === 'accepted').length;
    const taken = Number(/(\d+) messages/.exec(sink.stdout)?.[1]);
    t.comment(`${accepted} messages accepted in the clients' eyes, ${taken} at the backend`);
    t.ok(accepted > 100 && taken >= accepted, 'every message a client saw accepted is at the backend');
  },
);
