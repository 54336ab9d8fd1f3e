import { formatAddress } from '../../lib/core/address.ts';
import { startScript } from '../scripts.ts';
import { withFresh } from './fresh.ts';
import { MIDDLE, percentiles, trickle } from './latency.ts';
import { growthMetric } from './memory.ts';
import type { Samples, Workload } from './workload.ts';

/** Processes that hold the idle sessions: none near its limit of open files, and none of them the one that times. */
const HOLDERS = 2;
/** Newcomers that are timed in a visit. */
const NEWCOMERS = 250;

/** A busy site's evening: thousands of sessions that wait, and newcomers who must not notice. */
export const crowd: Workload = {
  name: 'crowd',
  says: `${NEWCOMERS} newcomers, one by one, beside sessions that are open and idle`,
  count: 9_000,
  parallel: 1,
  passes: 1,
  metrics: [
    ...percentiles('greeting', 'greeting', MIDDLE, true).map(metric => ({
      ...metric,
      plotted: true as const,
    })),
    ...percentiles('command', 'command', MIDDLE, true),
    growthMetric('an idle'),
  ],
  async visit(visit): Promise<Samples> {
    const { surroundings, count } = visit;
    return withFresh(visit, surroundings, 1_024, async ({ running, growth }) => {
      const holders = [];
      for (let holder = 0; holder < HOLDERS; holder++) {
        const share = Math.floor((count * (holder + 1)) / HOLDERS) - Math.floor((count * holder) / HOLDERS);
        const args = [formatAddress(running.address), `${share}`];
        holders.push((await startScript(surroundings.children, 'idle-clients.ts', args)).child);
      }
      const grown = await growth(count);
      const times = await trickle(running.address, NEWCOMERS);
      await Promise.all(holders.map(holder => holder.stop()));
      return { ...times, growth: grown };
    });
  },
};
