import type { Balancer } from '../balancer/balancer.ts';
import type { Microseconds } from '../core/clock.ts';
import type { BackendSnapshot } from '../pool/snapshot.ts';
import type { TlsInfo } from '../transport/tls-contract.ts';
import { NOTHING } from './at-rest.ts';
import type { FailedTry } from './backend-faults.ts';
import type { StickyFound } from './sticky.ts';

/** What the search for a backend has come to, so far: all that is left of it once the session is served. */
export class Finding {
  /** The backend whose slot is taken. */
  backend: BackendSnapshot | null = null;
  /** The backend that serves or served this session, or the last one tried. */
  backendName: string | null = null;
  failedTries: readonly FailedTry[] = NOTHING;
  /** In the queue; dialling and waiting for the greeting of the backend found. */
  queueUs: Microseconds = 0;
  connectUs: Microseconds = 0;
  greetingUs: Microseconds = 0;
  /** TLS with the backend that serves this session; null without. */
  tls: TlsInfo | null = null;
  /** How it was found; null where the pool is not sticky. */
  sticky: StickyFound | null = null;

  took(backend: BackendSnapshot): void {
    this.backend = backend;
    this.backendName = backend.name;
  }

  /** Gives the slot back, if one is held. */
  releaseSlot(balancer: Balancer): void {
    const { backend } = this;
    if (backend === null) return;
    this.backend = null;
    balancer.release(backend);
  }
}
