import type { IpAddress } from '../../lib/core/address.ts';
import { openClient } from '../smtp-client.ts';
import { percentile } from '../stats.ts';
import { type Metric, pause, type Workload } from './workload.ts';

/** Commands timed on each probe's session. */
const COMMANDS = 10;
/** Between two probes, so that each meets an idle subject. */
const PACE_MS = 4;

interface Share {
  readonly name: string;
  readonly share: number;
}
export const MIDDLE: readonly Share[] = [
  { name: 'p50', share: 0.5 },
  { name: 'p99', share: 0.99 },
];
/** Only where there are thousands of samples a round. */
const RARE: Share = { name: 'p99.9', share: 0.999 };

/** Percentiles of the samples `of`, in microseconds; `compared` gives their ratio to the base. */
export function percentiles(
  of: string,
  title: string,
  shares: readonly Share[],
  compared: boolean,
): readonly Metric[] {
  return shares.map(({ name, share }): Metric => {
    const reduce = (samples: readonly number[]) => percentile(samples, share);
    return { key: `${of}.${name}`, title: `${title} ${name} µs`, unit: 'µs', of, reduce, compared };
  });
}

/** What is above the direct way, and the whole. */
function metricsOf(of: string, title: string, shares: readonly Share[]): readonly Metric[] {
  const whole = percentiles(of, title, shares, false);
  return [
    ...whole.map((metric): Metric => {
      const key = `${metric.key}.added`;
      return { ...metric, key, title: `+${metric.title}`, added: true, compared: true, plotted: true };
    }),
    ...whole,
  ];
}

async function probe(address: IpAddress): Promise<{ greeting: number; commands: readonly number[] }> {
  const begin = performance.now();
  const client = openClient(address);
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

/** `count` sessions, one after the other: microseconds to each greeting, and of each command's round trip. */
export async function trickle(address: IpAddress, count: number, paceMs = PACE_MS) {
  const greeting: number[] = [];
  const command: number[] = [];
  for (let session = 0; session < count; session++) {
    const times = await probe(address);
    greeting.push(times.greeting);
    command.push(...times.commands);
    await pause(paceMs);
  }
  return { greeting, command };
}

/** What a client that is alone waits longer for because of the balancer. */
export const latency: Workload = {
  name: 'latency',
  says: `one client alone: connect to greeting, and the round trip of NOOP (${COMMANDS} a session)`,
  count: 250,
  parallel: 1,
  passes: 2,
  metrics: [
    ...metricsOf('greeting', 'greeting', MIDDLE),
    ...metricsOf('command', 'command', [...MIDDLE, RARE]),
  ],
  visit: ({ running, count }) => trickle(running.address, count),
};
