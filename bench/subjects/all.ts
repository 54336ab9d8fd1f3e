import { direct } from './direct.ts';
import { haproxy, haproxyVariants } from './haproxy.ts';
import { nginx } from './nginx.ts';
import { smtplb, smtplbVariants } from './smtplb.ts';
import type { Subject } from './subject.ts';

/** Every subject of the usual suite, in the order in which a round visits them and a table shows them. */
export const SUBJECTS: readonly Subject[] = [
  direct,
  smtplb,
  ...smtplbVariants,
  haproxy,
  ...haproxyVariants,
  nginx,
];
