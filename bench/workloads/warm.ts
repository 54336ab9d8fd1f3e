import type { IpAddress } from '../../lib/core/address.ts';
import { openClient } from '../smtp-client.ts';
import { MIDDLE, percentiles } from './latency.ts';
import { pause, type Workload } from './workload.ts';

/** Between two sessions. */
const PACE_MS = 4;

async function greetings(address: IpAddress, count: number): Promise<number[]> {
  const samples: number[] = [];
  for (let session = 0; session < count; session++) {
    const begin = performance.now();
    const client = openClient(address);
    await client.greeting();
    samples.push(1_000 * (performance.now() - begin));
    await client.quit();
    await pause(PACE_MS);
  }
  return samples;
}

/** What a client waits for a backend that is far away. */
export const farGreeting: Workload = {
  name: 'greeting',
  says: 'one client alone, backends 20 ms away in each direction: connect to greeting, then QUIT',
  count: 50,
  parallel: 1,
  passes: 2,
  metrics: percentiles('greeting', 'greeting', MIDDLE, true),
  visit: async ({ running, count }) => ({ greeting: await greetings(running.address, count) }),
};
