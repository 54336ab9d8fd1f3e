import type { FaultCode } from '../core/fault.ts';
import type { Cause } from '../core/termination.ts';
import type { CloseReason } from '../transport/contract.ts';

/** One backend tried in vain. */
export interface FailedTry {
  readonly backend: string;
  readonly fault: FaultCode;
  /** What was seen, where that says more: why a certificate is not valid, what the backend said. Safe to show. */
  readonly detail?: string;
}

/** What a session ends as when its last backend failed so. */
export const CAUSE_OF: Readonly<Record<FaultCode, Cause>> = {
  refused: 'backend-refused',
  unreachable: 'backend-refused',
  'no-ports': 'local-ports',
  'connect-timeout': 'backend-timeout',
  'greeting-timeout': 'backend-timeout',
  'closed-early': 'backend-closed',
  'reset-early': 'backend-reset',
  'bad-greeting': 'backend-protocol',
  'busy-greeting': 'no-backend',
  'tls-failed': 'backend-tls',
  'starttls-refused': 'backend-tls',
  'starttls-injection': 'backend-tls',
  'xclient-missing': 'backend-protocol',
  'xclient-refused': 'backend-protocol',
  'no-descriptors': 'descriptors',
  'other-family': 'no-backend',
  'not-permitted': 'internal',
  failed: 'internal',
};

/** Where it was not established before. */
const DIALLING_FAULTS: Readonly<Record<CloseReason, FaultCode>> = {
  ended: 'closed-early',
  reset: 'refused',
  'tls-failed': 'failed',
  refused: 'refused',
  unreachable: 'unreachable',
  'timed-out': 'connect-timeout',
  'no-ports': 'no-ports',
  'no-descriptors': 'no-descriptors',
  'not-permitted': 'not-permitted',
  failed: 'failed',
};

/** What a connection that is over says of the backend. */
export function faultOf(reason: CloseReason, dialling: boolean): FaultCode {
  if (dialling) return DIALLING_FAULTS[reason];
  return reason === 'reset' ? 'reset-early' : 'closed-early';
}
