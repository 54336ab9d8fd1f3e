import { openIdle } from '../generator.ts';
import { median } from '../stats.ts';
import { withFresh } from './fresh.ts';
import type { Metric, Samples, Workload } from './workload.ts';

/** Growth of a fresh process, a session; `what` sessions those are. */
export function growthMetric(what: string): Metric {
  const title = `KiB ${what} session`;
  return { key: 'growth', title, unit: 'KiB', of: 'growth', reduce: median, compared: true, plotted: true };
}

/** What a session costs that only waits. */
export const memory: Workload = {
  name: 'memory',
  says: 'resident memory of a fresh process, less what it was before the idle sessions came',
  count: 2_000,
  parallel: 1,
  passes: 1,
  metrics: [
    growthMetric('an idle'),
    { key: 'base', title: 'MiB before', unit: 'MiB', of: 'base', reduce: median, compared: false },
  ],
  async visit(visit): Promise<Samples> {
    // Without a process there is nothing to look at.
    if (visit.running.pid === undefined) return {};
    return withFresh(visit, visit.surroundings, 1_024, async ({ running, beforeKib, growth }) => {
      const clients = await openIdle(running.address, visit.count);
      const samples = {
        growth: await growth(visit.count),
        base: beforeKib === undefined ? [] : [beforeKib / 1_024],
      };
      for (const client of clients) client.reset();
      return samples;
    });
  },
};
