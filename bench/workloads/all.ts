import { connect } from './connect.ts';
import { latency } from './latency.ts';
import { memory } from './memory.ts';
import { kept, large, sessions } from './messages.ts';
import type { Workload } from './workload.ts';

/** Every workload there is, in the order in which they run. */
export const WORKLOADS: readonly Workload[] = [sessions, kept, large, connect, latency, memory];
