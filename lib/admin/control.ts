import type { AdminState } from '../pool/snapshot.ts';
import type { SessionView } from '../session/record.ts';
import type { SessionFilter } from '../shard/snapshot.ts';
import type { ClusterDocument } from './cluster-status.ts';
import type { StatusDocument } from './status.ts';

/** What a verb came to, in a sentence that says what to do where it failed. */
export interface Outcome {
  readonly ok: boolean;
  readonly message: string;
}

/** Who is told: this instance, or all of its cluster. */
export type VerbScope = 'instance' | 'cluster';

/** What an operator can ask of a running instance; the server implements it, the API and the page use it. */
export interface Control {
  status(): StatusDocument;
  /** The oldest first. */
  sessions(filter: SessionFilter): Promise<readonly SessionView[]>;
  /** What this instance knows of its cluster. */
  cluster(): Promise<ClusterDocument>;
  /** `endSessions` (with `maint` only) also ends the sessions that run there. */
  setAdmin(
    pool: string,
    backend: string,
    state: AdminState,
    endSessions: boolean,
    scope: VerbScope,
  ): Promise<Outcome>;
  /** 1 to 256, or null for the configuration's. */
  setWeight(pool: string, backend: string, weight: number | null, scope: VerbScope): Promise<Outcome>;
  reload(): Promise<Outcome>;
  /** Starts the program anew with the same listening sockets, and drains when that is ready. */
  upgrade(): Promise<Outcome>;
}
