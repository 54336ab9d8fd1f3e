import { TLS_BASE, TLS_SUBJECTS } from '../subjects/tls.ts';
import { TLS_WORKLOADS } from '../workloads/tls.ts';
import type { Suite } from './suite.ts';

/** TLS ends at the balancer. STARTTLS is held against nginx, which speaks it; HAProxy only has TLS from the first byte. */
export const tls: Suite = {
  name: 'tls',
  says: 'TLS 1.3 ends at the balancer',
  subjects: TLS_SUBJECTS,
  workloads: TLS_WORKLOADS,
  base: TLS_BASE,
  nothing: undefined,
};
