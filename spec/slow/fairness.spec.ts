/** Small sessions beside bulk transfers and storms of clients: nobody waits for those who take all they can get. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { FAST_TRANSPORTS, loadFast, type TransportName } from '../../lib/transport/fast.ts';
import { type Command, startCommand } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { type SourceOptions, startSmtpSink, startSmtpSource } from '../support/postfix-tools.ts';
import { connectClient } from '../support/smtp-client.ts';

const KINDS: TransportName[] = ['net'];
for (const name of FAST_TRANSPORTS) if ((await loadFast(name)).reason === undefined) KINDS.push(name);

const ROUNDS = 100;
/**
 * Milliseconds more than twice what an instance takes that has nothing else to do. Load, backends and balancers share the
 * machine's cores: this is what they leave, and not what is wanted.
 */
const MEDIAN_MS = 250;
const P99_MS = 2_000;

const LOADS: Readonly<Record<string, Pick<SourceOptions, 'sessions' | 'messages' | 'length'>>> = {
  'one bulk session': { sessions: 1, messages: 10_000, length: 16_777_216 },
  'eight bulk sessions': { sessions: 8, messages: 10_000, length: 16_777_216 },
  'a storm of clients': { sessions: 200, messages: 1_000_000, length: 10 },
};

interface Waits {
  readonly greeting: number[];
  readonly noop: number[];
  /** On a session that has been there all the time. */
  readonly kept: number[];
}

async function measure(owner: Owner, instance: Command): Promise<Waits> {
  const address = instance.addressOf('small');
  const waits: Waits = { greeting: [], noop: [], kept: [] };
  const timed = async (into: number[], work: Promise<unknown>): Promise<void> => {
    const beganMs = performance.now();
    await work;
    into.push(performance.now() - beganMs);
  };
  const kept = await connectClient(owner, address);
  await kept.expect(220);
  await kept.command('EHLO kept.example', 250);
  for (let round = 0; round < ROUNDS; round++) {
    const beganMs = performance.now();
    const client = await connectClient(owner, address);
    await client.expect(220);
    waits.greeting.push(performance.now() - beganMs);
    await client.command('EHLO small.example', 250);
    await timed(waits.noop, client.command('NOOP', 250));
    await timed(waits.kept, kept.command('NOOP', 250));
    await client.command('QUIT', 221);
    client.destroy();
  }
  await kept.command('QUIT', 221);
  kept.destroy();
  return waits;
}

function quantile(waits: readonly number[], share: number): number {
  const sorted = [...waits].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
}

const figures = (waits: readonly number[]): string =>
  `p50 ${quantile(waits, 0.5).toFixed(1)} p99 ${quantile(waits, 0.99).toFixed(1)} ms`;

for (const transport of KINDS)
  t.test(`${transport}: fairness`, needs('smtp-source', 'smtp-sink'), async t => {
    // A backend each, lest the bulk sessions be in the others' way there.
    const [small, bulk] = [await startSmtpSink(t), await startSmtpSink(t)];
    const instance = await startCommand(t, {
      listeners: ['small', 'bulk'].map(name => ({ name, pool: name })),
      pools: [
        { name: 'small', backends: [{ address: formatAddress(small.address) }] },
        { name: 'bulk', backends: [{ address: formatAddress(bulk.address) }] },
      ],
      transport,
      log: { access: false },
    });
    const idle = await startCommand(t, {
      listeners: [{ name: 'small', pool: 'small' }],
      pools: [{ name: 'small', backends: [{ address: formatAddress(small.address) }] }],
      transport,
      log: { access: false },
    });
    const say = (beside: string, { greeting, noop, kept }: Waits): void =>
      t.comment(
        `${beside}: greeting ${figures(greeting)}, NOOP ${figures(noop)}, on a kept session ${figures(kept)}`,
      );
    say('alone', await measure(t, instance));
    for (const [name, load] of Object.entries(LOADS)) {
      const before = await instance.metrics();
      const source = startSmtpSource(t, {
        ...load,
        address: instance.addressOf('bulk'),
        keepConnections: load.length !== 10,
      });
      await eventually('the load', async () => (await instance.metrics()).sum('smtplb_sessions_active') > 0);
      const beganMs = performance.now();
      const [waits, usual] = await Promise.all([measure(t, instance), measure(t, idle)]);
      const seconds = (performance.now() - beganMs) / 1_000;
      const after = await instance.metrics();
      const arrived =
        after.sum('smtplb_sessions_accepted_total') - before.sum('smtplb_sessions_accepted_total');
      say(`beside ${name}`, waits);
      say('meanwhile at an instance without', usual);
      t.comment(`meanwhile ${Math.round(arrived / seconds)} clients a second`);
      for (const what of ['greeting', 'noop', 'kept'] as const) {
        const more = (share: number) => quantile(waits[what], share) - 2 * quantile(usual[what], share);
        t.ok(more(0.5) < MEDIAN_MS && more(0.99) < P99_MS, `${name}: ${what}`);
      }
      source.kill('SIGKILL');
      await source.exited;
      await instance.idle(30_000);
    }
  });
