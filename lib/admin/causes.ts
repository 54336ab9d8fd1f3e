import { CAUSE_NAMES, CAUSES, type Cause } from '../core/termination.ts';

/** Whose doing an end was, as an operator sorts them: two of the kinds are refusals. */
export type CauseKind = 'served' | 'client' | 'backend' | 'by-rule' | 'no-room' | 'operator' | 'fault';

const KINDS: Readonly<Record<Cause, CauseKind>> = {
  normal: 'served',
  'client-closed': 'client',
  'client-reset': 'client',
  'client-timeout': 'client',
  'idle-timeout': 'client',
  'proxy-header': 'client',
  'foreign-protocol': 'client',
  'forged-identity': 'client',
  'tls-failed': 'client',
  'tls-injection': 'client',
  'client-hello': 'client',
  'backend-refused': 'backend',
  'backend-closed': 'backend',
  'backend-reset': 'backend',
  'backend-timeout': 'backend',
  'backend-protocol': 'backend',
  'backend-tls': 'backend',
  'no-backend': 'no-room',
  'queue-full': 'no-room',
  'queue-timeout': 'no-room',
  denied: 'by-rule',
  'listener-limit': 'no-room',
  'client-limit': 'by-rule',
  'client-rate': 'by-rule',
  descriptors: 'no-room',
  'local-ports': 'no-room',
  shutdown: 'operator',
  maintenance: 'operator',
  internal: 'fault',
};

/** Causes whose clients were refused with a word of ours: as the configuration says, or for want of room. */
export const REFUSALS: readonly Cause[] = CAUSE_NAMES.filter(
  cause => KINDS[cause] === 'by-rule' || KINDS[cause] === 'no-room',
);

/** What the page knows of causes, as a module for browsers. */
export function causesModule(): string {
  const rows = CAUSE_NAMES.map(cause => [cause, { kind: KINDS[cause], text: CAUSES[cause].text }]);
  return `export const CAUSES = new Map(${JSON.stringify(rows, null, 2)});\n`;
}
