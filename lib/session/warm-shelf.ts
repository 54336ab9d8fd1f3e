import type { DescriptorBudget } from '../admission/descriptor-budget.ts';
import type { Balancer } from '../balancer/balancer.ts';
import { type Board, giveBack, NO_GRANT, take } from '../core/board.ts';
import type { FaultCode } from '../core/fault.ts';
import { WARM_OPENING } from '../core/limits.ts';
import type { WarmColumn } from '../core/shard-stats.ts';
import type { BackendSnapshot } from '../pool/snapshot.ts';
import type { Connection } from '../transport/contract.ts';
import type { DialContext } from './backend-dial.ts';
import type { Prepared } from './backend-preparation.ts';
import { WarmConnection, type WarmOwner } from './warm-connection.ts';

/** What a shard lends to its warm connections. */
export interface WarmContext extends DialContext {
  readonly board: Board;
  readonly descriptors: DescriptorBudget;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly onError: (error: unknown) => void;
}

/** A connection is renewed at this share of its age or later, so that not all are at once. */
const YOUNGEST = 0.75;

/**
 * The warm connections that one shard keeps to one backend. They are opened in `tend` and nowhere else.
 *
 * A backend that cannot be reached must not be stormed: until one connection has greeted, one is tried at a time. After a
 * failure none is tried for a pause, `passiveHealth.pause` at first and twice as long each time, up to its `maxPause`, until
 * one has served or waited to its end; and those that wait are let go, because what cannot be reached now should not greet
 * clients from memory. So a backend that dies has one failure counted against it, however many were being opened.
 */
export class WarmShelf implements WarmOwner {
  readonly #context: WarmContext;
  /** As the connections were made: to another address, or with other TLS, they are of no use. */
  #recipe = '';
  #backend: BackendSnapshot;
  readonly #opening = new Set<WarmConnection>();
  /** The oldest first: that one is taken, so that few expire. */
  #ready: WarmConnection[] = [];
  /** Nothing of these is left but the file descriptor, and a last word. */
  readonly #leaving = new Set<WarmConnection>();
  /** One has greeted since the last failure. */
  #isProven = false;
  #failures = 0;
  #pausedUntilMs = 0;
  #onIdle = (): void => {};

  constructor(backend: BackendSnapshot, context: WarmContext) {
    this.#backend = backend;
    this.#context = context;
  }

  /** Connections open, or being opened. */
  get size(): number {
    return this.#opening.size + this.#ready.length;
  }

  /** Nothing is held any more. */
  get isIdle(): boolean {
    return this.size === 0 && this.#leaving.size === 0;
  }

  get balancer(): Balancer {
    return this.#context.balancer;
  }

  /** Resolves when nothing is held any more; to be asked once. */
  async idle(): Promise<void> {
    if (this.isIdle) return;
    await new Promise<void>(resolve => {
      this.#onIdle = resolve;
    });
  }

  /** Whether these are `backend`'s, of the snapshot that the shelf was told last. */
  isOf(balancer: Balancer, { address }: BackendSnapshot): boolean {
    return this.balancer === balancer && this.#backend.address === address;
  }

  /** The backend as it is now. `recipe` says what its connections are made of. */
  update(backend: BackendSnapshot, recipe: string): void {
    if (recipe !== this.#recipe) {
      this.clear();
      this.#isProven = false;
      this.#failures = 0;
      this.#pausedUntilMs = 0;
    }
    this.#recipe = recipe;
    this.#backend = backend;
  }

  /** One that has greeted, the session's from now on; null where there is none. */
  take(): { readonly connection: Connection; readonly prepared: Prepared } | null {
    for (let taken = this.#ready.shift(); taken !== undefined; taken = this.#ready.shift()) {
      this.#left(true);
      if (!taken.isFresh) {
        this.#count('expired');
        this.#dismiss(taken);
        continue;
      }
      this.#failures = 0;
      this.#count('taken');
      return taken.handOver();
    }
    this.#count('missed');
    return null;
  }

  /** A connection that was taken had died before the session's first word. */
  died(): void {
    this.#count('lost');
  }

  /** Lets go what is more than `wanted`, or than there is room for. */
  trim(wanted: number): void {
    const { board, descriptors } = this.#context;
    const { row } = this.#backend;
    const limit = this.#limit();
    const over = () => Atomics.load(board.backendSlots, row) + Atomics.load(board.backendWarm, row) > limit;
    while (this.size > wanted || (this.size > 0 && (over() || descriptors.isScarce))) this.#letOneGo();
  }

  /** The same, and opens what is missing. */
  tend(wanted: number): void {
    const { board, descriptors, wheel } = this.#context;
    const { row } = this.#backend;
    this.trim(wanted);
    const limit = this.#limit();
    if (wheel.now() < this.#pausedUntilMs) return;
    const most = this.#isProven ? WARM_OPENING : 1;
    while (this.size < wanted && this.#opening.size < most) {
      // Those that leave are at the backend as well, until they are gone.
      const room = limit - Atomics.load(board.backendSlots, row) - this.#leaving.size;
      if (!take(board.backendWarm, row, room)) return;
      if (!descriptors.spare()) return giveBack(board.backendWarm, row);
      this.#open();
      if (wheel.now() < this.#pausedUntilMs) return; // it has failed at once
    }
  }

  /** Lets all of them go. */
  clear(): void {
    while (this.size > 0) this.#letOneGo();
  }

  onReady(connection: WarmConnection): void {
    const { balancer, board, random } = this.#context;
    const { maxAgeMs } = balancer.pool.warm ?? { maxAgeMs: 0 };
    this.#opening.delete(connection);
    this.#ready.push(connection);
    take(board.backendWarmReady, this.#backend.row, Number.POSITIVE_INFINITY);
    this.#isProven = true;
    connection.keep(maxAgeMs * (YOUNGEST + (1 - YOUNGEST) * random()));
    balancer.succeeded(this.#backend);
  }

  onFailed(connection: WarmConnection, fault: FaultCode, detail?: string): void {
    const { balancer } = this.#context;
    this.#opening.delete(connection);
    this.#left(false);
    this.#count('failed');
    this.#pause();
    this.clear();
    balancer.failed(this.#backend, fault, connection.dialledAtMs, detail);
  }

  onLost(connection: WarmConnection): void {
    this.#ready.splice(this.#ready.indexOf(connection), 1);
    this.#left(true);
    this.#count('lost');
    this.#pause();
  }

  onExpired(connection: WarmConnection): void {
    this.#ready.splice(this.#ready.indexOf(connection), 1);
    this.#left(true);
    this.#failures = 0;
    this.#count('expired');
    this.#dismiss(connection);
  }

  onOver(connection: WarmConnection): void {
    this.#leaving.delete(connection);
    this.#context.descriptors.spared();
    if (this.isIdle) this.#onIdle();
  }

  guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#context.onError(error);
    }
  }

  #open(): void {
    const connection = new WarmConnection(this.#backend, this.#context, this);
    this.#opening.add(connection);
    try {
      connection.begin();
    } catch (error) {
      this.#context.onError(error);
      connection.onUnprepared('failed');
    }
  }

  #letOneGo(): void {
    const [opening] = this.#opening;
    const connection = opening ?? this.#ready.shift();
    if (connection === undefined) return;
    this.#opening.delete(connection);
    this.#left(opening === undefined);
    this.#dismiss(connection);
  }

  #dismiss(connection: WarmConnection): void {
    this.#leaving.add(connection);
    connection.letGo();
  }

  /** It is not one of ours any more. */
  #left(wasReady: boolean): void {
    const { board } = this.#context;
    giveBack(board.backendWarm, this.#backend.row);
    if (wasReady) giveBack(board.backendWarmReady, this.#backend.row);
  }

  #pause(): void {
    const { balancer, wheel } = this.#context;
    const { maxPauseMs, pauseMs } = balancer.pool.passiveHealth;
    this.#isProven = false;
    this.#pausedUntilMs = wheel.now() + Math.min(pauseMs * 2 ** Math.min(this.#failures, 30), maxPauseMs);
    this.#failures++;
  }

  /** Sessions and warm connections that the backend may have together. */
  #limit(): number {
    const { maxConnections, row } = this.#backend;
    const grant = Atomics.load(this.#context.board.backendGrant, row);
    return grant === NO_GRANT ? maxConnections : Math.min(maxConnections, grant);
  }

  #count(what: WarmColumn): void {
    this.#context.stats.backends.add(this.#backend.row, `warm/${what}`);
  }
}
