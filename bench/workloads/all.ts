import { connect } from './connect.ts';
import { crowd } from './crowd.ts';
import { latency } from './latency.ts';
import { memory } from './memory.ts';
import { huge, kept, large, sessions } from './messages.ts';
import { slow } from './slow.ts';
import type { Workload } from './workload.ts';

/** Every workload of the usual suite, in the order in which they run. */
export const WORKLOADS: readonly Workload[] = [
  sessions,
  kept,
  large,
  huge,
  connect,
  latency,
  memory,
  crowd,
  slow,
];
