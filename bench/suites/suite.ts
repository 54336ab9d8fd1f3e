import type { Subject, Surroundings } from '../subjects/subject.ts';
import type { Workload } from '../workloads/workload.ts';

/** What is measured beside each other in one run. */
export interface Suite {
  /** As given on the command line. */
  readonly name: string;
  readonly says: string;
  /** In the order in which a round visits them and a table shows them. */
  readonly subjects: readonly Subject[];
  /** In the order in which they run. */
  readonly workloads: readonly Workload[];
  /** The subject that ratios refer to, unless a subject names another. */
  readonly base: string;
  /** The subject whose latency is subtracted from that of the others, where there is one. */
  readonly nothing: string | undefined;
  /** Starts what the suite's subjects need beside the two backends; what is returned is what they are given. */
  prepare?(surroundings: Surroundings): Promise<Surroundings>;
}

/** The name of the subject that `name`'s ratios refer to. */
export function baseOf(suite: Pick<Suite, 'base' | 'subjects'>, name: string): string {
  return suite.subjects.find(subject => subject.name === name)?.base ?? suite.base;
}
