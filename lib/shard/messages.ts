/** What crosses between the control plane's thread and a shard's: plain values only. */
import type { BackendEvent } from '../balancer/balancer.ts';
import type { PoolSnapshot } from '../pool/snapshot.ts';
import type { SessionView } from '../session/record.ts';
import type { StickyClaim, StickyQuestion } from '../session/sticky.ts';
import type { TransportName } from '../transport/fast.ts';
import type { SessionFilter, ShardSnapshot } from './snapshot.ts';
import type { BoundSocket, SocketPlaces } from './sockets.ts';
import type { StickyRecall } from './sticky-keeper.ts';

/** What a thread is given at its start. */
export interface WorkerStart {
  readonly transport: TransportName;
  /** Which shard this is: its column in the tables of clients. */
  readonly number: number;
  /** On each line of the access log. */
  readonly instance: string;
  /** Descriptors that the sessions of all shards may use together. */
  readonly descriptors: number;
  readonly memory: ShardMemory;
}

/** Memory that a shard shares with the others, and that outlives its thread. */
export interface ShardMemory {
  readonly board: SharedArrayBuffer;
  /** What it has taken on the board; its own. */
  readonly holdings: SharedArrayBuffer;
  /** What it counts; its own. */
  readonly stats: SharedArrayBuffer;
  /** How many lines of its access log have been taken, in all; written by the control plane. */
  readonly linesTaken: SharedArrayBuffer;
  /** Which descriptors are its own, where its transport keeps them itself. */
  readonly descriptors: SharedArrayBuffer;
  /** And what of OpenSSL's. */
  readonly possessions: SharedArrayBuffer;
}

/** Each asks for one answer, in order. */
export type Request =
  | { readonly ask: 'prepare'; readonly snapshot: ShardSnapshot; readonly places: SocketPlaces }
  | { readonly ask: 'commit' }
  | { readonly ask: 'abort' }
  | { readonly ask: 'publish'; readonly pools: readonly PoolSnapshot[] }
  | { readonly ask: 'views'; readonly filter: SessionFilter }
  | { readonly ask: 'end-sessions'; readonly pool: string; readonly backend: string }
  | { readonly ask: 'close'; readonly handedOver: boolean }
  | { readonly ask: 'drain'; readonly handedOver: boolean };

export interface Answers {
  /** What it will listen on once that is in use. */
  readonly prepare: readonly BoundSocket[];
  readonly commit: null;
  readonly abort: null;
  readonly publish: null;
  readonly views: readonly SessionView[];
  readonly 'end-sessions': number;
  readonly close: null;
  readonly drain: null;
}

export type ToWorker =
  | { readonly type: 'ask'; readonly id: number; readonly request: Request }
  | { readonly type: 'cut' }
  | { readonly type: 'recalled'; readonly id: number; readonly recall: StickyRecall }
  | { readonly type: 'claimed'; readonly id: number; readonly backends: readonly (string | null)[] | null }
  /** The thread is to close what it holds and leave. Nothing is sent after it. */
  | { readonly type: 'end' };

export type FromWorker =
  /** The thread is there; `wake` is a descriptor to write to after every message, where its loop needs that. */
  | { readonly type: 'ready'; readonly wake: number | null }
  | { readonly type: 'answer'; readonly id: number; readonly value: Answers[keyof Answers] }
  | { readonly type: 'failure'; readonly id: number; readonly message: string }
  | { readonly type: 'lines'; readonly lines: readonly string[] }
  | {
      readonly type: 'recall';
      readonly id: number;
      readonly questions: readonly StickyQuestion[];
      readonly timeoutMs: number;
    }
  | { readonly type: 'claim'; readonly id: number; readonly claims: readonly StickyClaim[] }
  | { readonly type: 'backend'; readonly event: BackendEvent }
  | { readonly type: 'error'; readonly error: unknown };
