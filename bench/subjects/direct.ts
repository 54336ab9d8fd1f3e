import type { Subject } from './subject.ts';

/** No balancer: the first backend itself. What the machine can do, and what to subtract for added latency. */
export const direct: Subject = {
  name: 'direct',
  usual: true,
  describe: () => ({ says: 'no balancer, straight to one backend' }),
  start: async ({ backends }) => ({ address: backends[0], pid: undefined, stop: async () => {} }),
};
