import { generate } from '../generator.ts';
import { throughput } from './throughput.ts';
import type { Workload } from './workload.ts';

/** What monitors, address checkers and impatient clients do. smtp-source cannot: the generator is always ours. */
export const connect: Workload = throughput({
  name: 'connect',
  says: 'connect, greeting, QUIT (built-in generator)',
  unit: 'session',
  count: 2_000,
  parallel: 20,
  async work({ running, count, parallel }) {
    await generate({ address: running.address, count, parallel });
    return {};
  },
});
