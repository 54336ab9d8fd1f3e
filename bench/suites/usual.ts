import { SUBJECTS } from '../subjects/all.ts';
import { direct } from '../subjects/direct.ts';
import { haproxy } from '../subjects/haproxy.ts';
import { WORKLOADS } from '../workloads/all.ts';
import type { Suite } from './suite.ts';

/** What is run where no suite is named: mail passes through as it comes. */
export const usual: Suite = {
  name: 'relay',
  says: 'bytes passed through as they come',
  subjects: SUBJECTS,
  workloads: WORKLOADS,
  base: haproxy.name,
  nothing: direct.name,
};
