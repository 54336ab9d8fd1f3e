import { direct } from './direct.ts';
import { haproxy, haproxySplice } from './haproxy.ts';
import { nginx } from './nginx.ts';
import { smtplb } from './smtplb.ts';
import type { Subject } from './subject.ts';

/** Every subject there is, in the order in which a round visits them and a table shows them. */
export const SUBJECTS: readonly Subject[] = [direct, smtplb, haproxy, haproxySplice, nginx];

/** The subject that all ratios refer to. */
export const BASE = haproxy.name;

/** The subject whose latency is subtracted from that of the others. */
export const NOTHING = direct.name;
