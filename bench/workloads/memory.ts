import { generate, openIdle } from '../generator.ts';
import { residentKib } from '../measure.ts';
import { median } from '../stats.ts';
import { pause, type Samples, type Workload } from './workload.ts';

/** Sessions that a fresh process has served before it is looked at: code is loaded and pools have grown. */
const WARM_SESSIONS = 300;
/** For an idle process to give back what it does not need, if it means to. */
const SETTLE_MS = 500;

/** What a session costs that only waits. A process that has served many keeps their memory, so each visit has its own. */
export const memory: Workload = {
  name: 'memory',
  says: 'resident memory of a fresh process, less what it was before the idle sessions came',
  count: 2_000,
  parallel: 1,
  passes: 1,
  metrics: [
    { key: 'idle', title: 'KiB an idle session', unit: 'KiB', of: 'idle', reduce: median, compared: true },
    { key: 'base', title: 'MiB before', unit: 'MiB', of: 'base', reduce: median, compared: false },
  ],
  async visit({ subject, surroundings, count }): Promise<Samples> {
    const running = await subject.start(surroundings);
    try {
      if (running.pid === undefined) return {};
      const { address, pid } = running;
      await generate({ address, count: WARM_SESSIONS, parallel: 20, bytes: 1_024 });
      await pause(SETTLE_MS);
      const before = residentKib(pid);
      const clients = await openIdle(address, count);
      await pause(SETTLE_MS);
      const after = residentKib(pid);
      for (const client of clients) client.destroy();
      return { idle: [(after - before) / count], base: [before / 1_024] };
    } finally {
      await running.stop();
    }
  },
};
