/** PROOF fault 20: clients that reset in each phase of a session, more than ten thousand, and nothing left behind. */
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { blackHole } from '../support/black-hole.ts';
import { COMMAND, type Command, megabytes, startCommand, type Usage } from '../support/command.ts';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import { WITH_NET } from '../support/instance.ts';
import type { Labels } from '../support/metrics.ts';
import { greet, silent, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

/** Rounds between two looks at the memory; there are two parts at least. */
const PART = 6;
/** The runtime grows its heap while it is young, by steps: in one of so many parts it must not. What is lost adds up in each. */
const PARTS = 5;
const GROWTH = 20_000_000;
const WAVE = 140;

/** A phase, how a client gets there, and how one sees that all of a wave have. */
interface Phase {
  readonly name: string;
  readonly listener: string;
  /** What the client says when it is connected. */
  readonly says: string;
  /** What it hears last, where it hears something. */
  readonly hears?: string;
  /** The gauge that counts those who have arrived. */
  readonly gauge: readonly [name: string, labels: Labels];
  /** Phase in the log, and so in the metrics. */
  readonly phase: string;
}

const BACKEND = 'smtplb_backend_sessions_active';
const PHASES: readonly Phase[] = [
  {
    name: 'a PROXY header half sent',
    listener: 'proxied',
    says: 'PROXY TCP4 192.0.2.1 198',
    gauge: ['smtplb_sessions_accepted_total', { listener: 'proxied' }],
    phase: 'accepting',
  },
  {
    name: 'in the queue',
    listener: 'queued',
    says: 'EHLO early.example\r\n',
    gauge: ['smtplb_queue_length', { pool: 'queued' }],
    phase: 'selecting',
  },
  {
    name: 'dialling',
    listener: 'dialling',
    says: '',
    gauge: [BACKEND, { pool: 'dialling' }],
    phase: 'connecting',
  },
  {
    name: 'before the greeting',
    listener: 'silent',
    says: '',
    gauge: [BACKEND, { pool: 'silent' }],
    phase: 'connecting',
  },
  {
    name: 'within the greeting',
    listener: 'half',
    says: '',
    gauge: [BACKEND, { pool: 'half' }],
    phase: 'connecting',
  },
  {
    name: 'handshaking',
    listener: 'served',
    says: 'EHLO half.exam',
    hears: '220 ',
    gauge: [BACKEND, { pool: 'served' }],
    phase: 'handshaking',
  },
  {
    name: 'relaying',
    listener: 'served',
    says: 'MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\nhalf a mess',
    hears: '354 ',
    gauge: [BACKEND, { pool: 'served' }],
    phase: 'relaying',
  },
];

function opened(address: Address, { says, hears }: Phase): Promise<Socket> {
  if (address.family === 'unix') throw new Error('not an IP address');
  const socket = connect({ host: address.host, port: address.port });
  return new Promise((resolve, reject) => {
    let heard = '';
    socket.on('error', reject);
    socket.on('connect', () => {
      if (says !== '') socket.write(says);
      if (hears === undefined) resolve(socket);
    });
    socket.on('data', chunk => {
      heard += chunk.toString('latin1');
      if (hears !== undefined && heard.includes(hears)) resolve(socket);
    });
  });
}

/** Brings so many clients into the phase, and resets them all at once. */
async function wave(command: Command, phase: Phase): Promise<void> {
  const [gauge, labels] = phase.gauge;
  const value = async () => (await command.metrics()).sum(gauge, labels);
  const before = await value();
  const address = command.addressOf(phase.listener);
  const sockets = await Promise.all(Array.from({ length: WAVE }, () => opened(address, phase)));
  await eventuallyEqual(`${WAVE} clients ${phase.name}`, value, before + WAVE);
  for (const socket of sockets) socket.resetAndDestroy();
}

for (const transport of WITH_NET) {
  t.test(
    `${transport}: ${2 * PART * WAVE * PHASES.length} resets and more leave nothing behind`,
    { timeout: 300_000 },
    async t => {
      const backends = {
        proxied: (await startScriptedBackend(t, smtp())).address,
        queued: (await startScriptedBackend(t, smtp())).address,
        dialling: await blackHole(t),
        silent: (await startScriptedBackend(t, silent)).address,
        half: (await startScriptedBackend(t, greet('220-half a greeting'))).address,
        served: (await startScriptedBackend(t, smtp(), { record: 'all' })).address,
      };
      const names = Object.keys(backends);
      const settings = {
        transport,
        log: { access: false },
        listeners: names.map(name => ({
          name,
          pool: name,
          ...(name === 'proxied'
            ? { proxyProtocol: { from: ['127.0.0.0/8'] }, timeouts: { proxyHeader: '1m' } }
            : {}),
        })),
        pools: Object.entries(backends).map(([name, address]) => ({
          name,
          connect: { timeout: '1m', greetingTimeout: '1m' },
          queue: { size: WAVE, timeout: '1m' },
          backends: [
            { address: formatAddress(address), ...(name === 'queued' ? { maxConnections: 1 } : {}) },
          ],
        })),
      };
      // A small nursery: else the runtime makes its own larger in steps, and they look like a leak.
      const [node, ...args] = COMMAND;
      const command = await startCommand(t, settings, {
        command: [node, '--max-semi-space-size=2', ...args],
      });
      const idle = async () => {
        await eventuallyEqual(
          'only the one who blocks the queue',
          async () => (await command.metrics()).sum('smtplb_sessions_active'),
          1,
        );
        await eventuallyEqual('one slot', async () => (await command.metrics()).sum(BACKEND), 1);
        await eventuallyEqual(
          'no queue',
          async () => (await command.metrics()).sum('smtplb_queue_length'),
          0,
        );
      };
      const blocker = await connectClient(t, command.addressOf('queued'));
      await blocker.expect(220);

      const startedAt = performance.now();
      const usages: Usage[] = [];
      const part = async (): Promise<Usage> => {
        for (let round = 0; round < PART; round++) {
          for (const phase of PHASES) {
            await wave(command, phase);
            await idle();
          }
          usages.push(command.usage());
        }
        return usages.at(-1) as Usage;
      };
      const warm = await part();
      let growth = Number.POSITIVE_INFINITY;
      for (let before = warm, parts = 1; growth >= GROWTH && parts < PARTS; parts++) {
        const after = await part();
        growth = after.rss - before.rss;
        before = after;
      }
      const rounds = usages.length;
      const total = rounds * WAVE * PHASES.length;
      t.comment(`${total} resets in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
      t.comment(`memory after each round: ${usages.map(({ rss }) => megabytes(rss)).join(', ')}`);
      t.comment(`descriptors after each round: ${usages.map(({ descriptors }) => descriptors).join(', ')}`);

      for (const phase of ['accepting', 'selecting', 'connecting', 'handshaking', 'relaying']) {
        const expected = PHASES.filter(one => one.phase === phase).length * rounds * WAVE;
        await eventuallyEqual(
          `all of those while ${phase}`,
          async () => (await command.metrics()).sum('smtplb_sessions_total', { phase }),
          expected,
        );
        t.comment(`${expected} while ${phase}`);
      }
      const metrics = await command.metrics();
      const causes = new Set(
        (metrics.samples.get('smtplb_sessions_total') ?? [])
          .filter(({ value }) => value > 0)
          .map(({ labels }) => labels.get('cause')),
      );
      t.comment(`causes: ${[...causes].join(', ')}`);
      t.notOk(causes.has('internal'));

      await eventually('descriptors as before', () => command.usage().descriptors <= warm.descriptors);
      t.comment(`memory grew by ${megabytes(growth)} over the last ${PART * WAVE * PHASES.length} resets`);
      t.ok(growth < GROWTH, 'memory does not go on growing');
      await blocker.command('QUIT', 221);
      blocker.end();
      await command.idle();
      t.equal((await command.process.stop()).exitCode, 0);
    },
  );
}
