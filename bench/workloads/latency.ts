import { openClient } from '../smtp-client.ts';
import { percentile } from '../stats.ts';
import { type Metric, pause, type Samples, type Visit, type Workload } from './workload.ts';

/** Commands timed on each probe's session. */
const COMMANDS = 10;
/** Between two probes, so that each meets an idle subject. */
const PACE_MS = 4;

const SHARES = [
  { name: 'p50', share: 0.5 },
  { name: 'p99', share: 0.99 },
];

function metricsOf(of: string, title: string): readonly Metric[] {
  const whole = SHARES.map(({ name, share }): Metric => {
    const reduce = (samples: readonly number[]) => percentile(samples, share);
    return { key: `${of}.${name}`, title: `${title} ${name} µs`, unit: 'µs', of, reduce, compared: false };
  });
  return [
    ...whole.map((metric): Metric => {
      return {
        ...metric,
        key: `${metric.key}.added`,
        title: `+${metric.title}`,
        added: true,
        compared: true,
      };
    }),
    ...whole,
  ];
}

async function probe(visit: Visit): Promise<{ greeting: number; commands: readonly number[] }> {
  const begin = performance.now();
  const client = openClient(visit.running.address);
  await client.greeting();
  const greeting = 1_000 * (performance.now() - begin);
  // The first exchange ends the handshake; what is timed is the relay.
  await client.ask('EHLO bench.example\r\n', 250);
  await client.ask('NOOP\r\n', 250);
  const commands: number[] = [];
  for (let command = 0; command < COMMANDS; command++) {
    const asked = performance.now();
    await client.ask('NOOP\r\n', 250);
    commands.push(1_000 * (performance.now() - asked));
  }
  await client.quit();
  return { greeting, commands };
}

/** What a client that is alone waits longer for because of the balancer. */
export const latency: Workload = {
  name: 'latency',
  says: `one client alone: connect to greeting, and the round trip of NOOP (${COMMANDS} a session)`,
  count: 250,
  parallel: 1,
  passes: 2,
  metrics: [...metricsOf('greeting', 'greeting'), ...metricsOf('command', 'command')],
  async visit(visit): Promise<Samples> {
    const greeting: number[] = [];
    const command: number[] = [];
    for (let session = 0; session < visit.count; session++) {
      const times = await probe(visit);
      greeting.push(times.greeting);
      command.push(...times.commands);
      await pause(PACE_MS);
    }
    return { greeting, command };
  },
};
