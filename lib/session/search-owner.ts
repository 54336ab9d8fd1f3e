import type { Cause } from '../core/termination.ts';
import type { Connection } from '../transport/contract.ts';
import type { ClientIdentity } from './client-identity.ts';

export interface SearchOwner {
  /** Whose backend it is to be. */
  readonly who: ClientIdentity;
  /** Waiting in the queue, or dialling. */
  onSearching(phase: 'selecting' | 'connecting'): void;
  /** A backend has greeted; `greeting` is what it sent, valid during the call only. Its slot stays taken. */
  onFound(connection: Connection, greeting: readonly Uint8Array[]): void;
  /** No backend will serve this session. */
  onLost(cause: Cause): void;
  /** Runs a callback that comes from neither connection; see Session. */
  guard(call: () => void): void;
}
