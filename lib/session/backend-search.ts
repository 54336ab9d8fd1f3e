import type { Waiter } from '../balancer/balancer.ts';
import { FAULTS, type FaultCode } from '../core/fault.ts';
import type { BackendColumn } from '../core/shard-stats.ts';
import { createTimer, type Timer } from '../core/timer-wheel.ts';
import type { BackendSnapshot } from '../pool/snapshot.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';
import type { TlsInfo } from '../transport/tls-contract.ts';
import { NOTHING } from './at-rest.ts';
import { BackendDial, type DialOwner } from './backend-dial.ts';
import { CAUSE_OF, type FailedTry, faultOf } from './backend-faults.ts';
import { BackendGreeting } from './backend-greeting.ts';
import type { Prepared } from './backend-preparation.ts';
import type { SessionContext } from './context.ts';
import type { SearchOwner } from './search-owner.ts';
import { type OpeningOwner, StarttlsOpening } from './starttls-opening.ts';
import { type StickyClient, stickyClient } from './sticky-client.ts';
import { type IntroductionOwner, XclientIntroduction } from './xclient-introduction.ts';

/**
 * From "this client needs a backend" to a backend that has greeted. Everything here is invisible to the client, so a
 * backend that refuses, resets, is silent or is no mail server is left for another, within `connect.attempts`.
 * Holds the session's slot at every moment but while it waits in the queue.
 */
export class BackendSearch implements Waiter, ConnectionHandler, DialOwner, IntroductionOwner, OpeningOwner {
  readonly client: string;
  triedRows: readonly number[] = NOTHING;
  failedTries: readonly FailedTry[] = NOTHING;
  /** The backend whose slot is taken. */
  backend: BackendSnapshot | null = null;
  /** The backend that serves or served this session, or the last one tried. */
  backendName: string | null = null;
  /** Milliseconds: in the queue; dialling and waiting for the greeting of the backend found. */
  queueMs = 0;
  connectMs = 0;
  greetingMs = 0;
  /** TLS with the backend that serves this session; null without. */
  tls: TlsInfo | null = null;
  /** It was to be told by XCLIENT who the client is, whatever a reload has made of the pool since. */
  trusting = false;

  readonly sticky: StickyClient | null;
  readonly stickyKey: string | null;
  readonly #context: SessionContext;
  readonly #owner: SearchOwner;
  /** Null before and after: most of a session's life needs none. */
  #timer: Timer | null = null;
  #stage: 'idle' | 'queued' | 'dialling' | 'greeting' = 'idle';
  #stageSinceMs = 0;
  #pickedAtMs = 0;
  #dial: BackendDial | null = null;
  /** Its backend's, once that is prepared; until then it is the dial's. */
  #connection: Connection | null = null;
  /** It was opened before there was a client; see warm-stock.ts. */
  #isWarm = false;
  /** What is still to be said before the greeting. */
  #opening: XclientIntroduction | StarttlsOpening | null = null;
  #greeting: BackendGreeting | null = null;

  constructor(client: string, context: SessionContext, owner: SearchOwner) {
    this.client = client;
    this.#context = context;
    this.#owner = owner;
    this.sticky = stickyClient(context, owner);
    this.stickyKey = this.sticky?.key ?? null;
  }

  get preferred(): string | null {
    return this.sticky?.backend ?? null;
  }

  /** Looks for a backend; the owner hears the outcome, perhaps within this call. */
  begin(): void {
    this.#owner.onSearching('selecting');
    if (this.sticky === null) this.#select();
    else this.sticky.recall(() => this.#select());
  }

  #select(): void {
    const { balancer } = this.#context;
    const isRetry = this.failedTries.length > 0;
    const outcome = balancer.select(this);
    if (outcome === 'none') return this.#lost();
    if (outcome !== 'full') return this.#approach(outcome);
    // A session that dialled in vain ended while connecting, unless it had to wait again.
    if (isRetry) this.#owner.onSearching('selecting');
    if (!balancer.wait(this)) return this.#owner.onLost('queue-full');
    this.#enter('queued');
    this.#arm(balancer.pool.queue.timeoutMs);
  }

  /** The session is over, at whatever stage: part of its one exit. */
  close(): void {
    this.sticky?.close();
    this.#leaveQueue();
    this.#stop();
    this.#releaseSlot();
  }

  /** Another backend, though this one has not failed: the operator wants it for himself. */
  moveOn(): void {
    this.#stop();
    this.#releaseSlot();
    if (this.failedTries.length === 0) this.#owner.onSearching('selecting');
    this.#select();
  }

  /** The greeting, passed on by its first line, went on as no greeting does. */
  greetingFailed(): void {
    if (this.backend !== null) this.#context.balancer.failed(this.backend, 'bad-greeting', this.#pickedAtMs);
  }

  onOffer(outcome: BackendSnapshot | 'none'): void {
    this.#owner.guard(() => {
      this.#leaveQueue();
      if (outcome === 'none') this.#lost();
      else this.#approach(outcome);
    });
  }

  onDialling(): void {
    const { balancer } = this.#context;
    this.connectMs = 0;
    this.greetingMs = 0;
    this.tls = null;
    this.trusting = false;
    this.#isWarm = false;
    this.#enter('dialling');
    this.#owner.onSearching('connecting');
    this.#arm(balancer.pool.connect.timeoutMs);
  }

  onConnected(): void {
    const { balancer, stats } = this.#context;
    this.connectMs = this.#sinceStage();
    stats.connectSeconds.observe(balancer.pool.row, this.connectMs / 1_000);
    this.#awaitGreeting();
  }

  onPrepared(connection: Connection, { greeting, tls, trusting, xclient }: Prepared): void {
    this.#dial = null;
    this.#connection = connection;
    this.tls = tls;
    this.trusting = trusting;
    if (this.#context.routing !== null) {
      // STARTTLS for a client who has said it to us, within the time for the greeting.
      const opening = new StarttlsOpening(connection, this.#context.hostName, this);
      this.#opening = opening;
      opening.begin();
      if (greeting.length > 0) opening.onBytes(greeting);
    } else if (xclient !== null) {
      const introduction = new XclientIntroduction(connection, this);
      this.#opening = introduction;
      introduction.begin(xclient, this.#owner.who.ends());
    } else this.onIntroduced(greeting);
  }

  onIntroduced(greeting: Uint8Array): void {
    if (this.#connection === null) return;
    this.#opening = null;
    this.#connection.handler = this;
    if (greeting.length > 0) this.onBytes(greeting);
  }

  /** Nothing of it is for the client, who awaits TLS. */
  onOpened(): void {
    this.#found([]);
  }

  onUnprepared(fault: FaultCode, detail?: string): void {
    this.#failed(fault, detail);
  }

  count(column: BackendColumn): void {
    if (this.backend !== null) this.#context.stats.backends.add(this.backend.row, column);
  }

  onBytes(bytes: Uint8Array): void {
    const greeting = this.#greeting;
    const verdict = greeting?.offer(bytes) ?? 'more';
    if (greeting === null || verdict === 'more') return;
    if (verdict === 'busy' && this.#movedOn(greeting)) return;
    if (verdict !== 'bad' && greeting.goesOn) this.#found(greeting.pieces);
    else this.#failed('bad-greeting');
  }

  onConnect(): void {}
  onDrain(): void {}
  onEnd(): void {
    this.#failed('closed-early');
  }

  onClose(reason: CloseReason): void {
    this.#failed(faultOf(reason, false));
  }

  /** Served, told, timed out or gone: the time it waited counts all the same. */
  #leaveQueue(): void {
    if (this.#stage !== 'queued') return;
    const { balancer, stats } = this.#context;
    const waitedMs = this.#sinceStage();
    this.queueMs += waitedMs;
    stats.queueSeconds.observe(balancer.pool.row, waitedMs / 1_000);
    balancer.leave(this);
    this.#enter('idle');
  }

  #approach(backend: BackendSnapshot): void {
    const { balancer, stats, wheel } = this.#context;
    const lastFault = this.failedTries.at(-1)?.fault;
    if (lastFault !== undefined) stats.pools.add(balancer.pool.row, `retry/${lastFault}`);
    this.backend = backend;
    this.backendName = backend.name;
    this.#pickedAtMs = wheel.now();
    const taken = this.#context.warm.take(balancer, backend);
    if (taken === null) return this.#dialBackend(backend);
    this.#isWarm = true;
    this.connectMs = 0;
    this.#owner.onSearching('connecting');
    this.#awaitGreeting();
    this.onPrepared(taken.connection, taken.prepared);
  }

  #dialBackend(backend: BackendSnapshot): void {
    this.#dial = new BackendDial(backend, this.#owner.who, this.#context, this);
    this.#dial.begin();
  }

  #awaitGreeting(): void {
    const { balancer } = this.#context;
    this.#enter('greeting');
    this.#greeting = new BackendGreeting();
    this.#arm(balancer.pool.connect.greetingTimeoutMs);
  }

  #found(greeting: readonly Uint8Array[]): void {
    const { balancer, stats } = this.#context;
    const [backend, connection] = [this.backend, this.#connection];
    if (backend === null || connection === null) return;
    this.#disarm();
    this.greetingMs = this.#sinceStage();
    stats.greetingSeconds.observe(balancer.pool.row, this.greetingMs / 1_000);
    balancer.succeeded(backend);
    if (this.#greeting?.verdict !== 'busy') this.sticky?.greetedBy(backend, this.triedRows);
    this.#greeting = null;
    this.#opening = null;
    this.#connection = null; // it is the owner's now
    this.#enter('idle');
    this.#owner.onFound(connection, greeting);
  }

  /** `retryOnGreeting` names this refusal: another backend, if there is one now. Else its own words are better than ours. */
  #movedOn({ code }: BackendGreeting): boolean {
    const { balancer } = this.#context;
    const { attempts, retryOnGreeting } = balancer.pool.connect;
    const { backend } = this;
    const isLast = this.failedTries.length + 1 >= attempts;
    if (backend === null || isLast || !retryOnGreeting.includes(code)) return false;
    this.triedRows = [...this.triedRows, backend.row];
    const next = balancer.select(this);
    if (typeof next === 'string') return false;
    this.#leaveBackend(backend, 'busy-greeting');
    this.#approach(next);
    return true;
  }

  #failed(fault: FaultCode, detail?: string): void {
    const { backend } = this;
    if (backend === null) return;
    if (this.#isWarm && (fault === 'closed-early' || fault === 'reset-early')) {
      // It tired of waiting, which says nothing of a connection that begins now.
      this.#context.warm.died(this.#context.balancer, backend);
      this.#stop();
      return this.#dialBackend(backend);
    }
    this.triedRows = [...this.triedRows, backend.row];
    this.#leaveBackend(backend, fault, detail);
    if (FAULTS[fault].retryable && this.failedTries.length < this.#context.balancer.pool.connect.attempts)
      this.#select();
    else this.#lost();
  }

  #leaveBackend(backend: BackendSnapshot, fault: FaultCode, detail?: string): void {
    const failed = { backend: backend.name, fault, ...(detail !== undefined && { detail }) };
    this.failedTries = [...this.failedTries, failed];
    this.#stop();
    this.#context.balancer.failed(backend, fault, this.#pickedAtMs, detail);
    this.#releaseSlot();
  }

  /** What the last backend did tells an operator more than that there was no other. */
  #lost(): void {
    this.#stop();
    const fault = this.failedTries.at(-1)?.fault;
    this.#owner.onLost(fault === undefined ? 'no-backend' : CAUSE_OF[fault]);
  }

  #timedOut(): void {
    if (this.#stage === 'queued') {
      this.#leaveQueue();
      this.#owner.onLost('queue-timeout');
    } else if (this.#stage === 'dialling') this.#failed('connect-timeout');
    else if (this.#dial !== null) this.#dial.timedOut();
    else if (this.#opening !== null) this.#opening.timedOut();
    else if (this.#stage === 'greeting') this.#failed('greeting-timeout');
  }

  #stop(): void {
    this.#disarm();
    this.#dial?.stop();
    this.#dial = null;
    this.#connection?.destroy();
    this.#connection = null;
    this.#opening = null;
    this.#greeting = null;
    this.#stage = 'idle';
  }

  #releaseSlot(): void {
    const { backend } = this;
    if (backend === null) return;
    this.backend = null;
    this.#context.balancer.release(backend);
  }

  #arm(delayMs: number): void {
    this.#timer ??= createTimer(() => this.#owner.guard(() => this.#timedOut()));
    this.#context.wheel.arm(this.#timer, delayMs);
  }

  #disarm(): void {
    if (this.#timer !== null) this.#context.wheel.cancel(this.#timer);
    this.#timer = null;
  }

  #enter(stage: 'idle' | 'queued' | 'dialling' | 'greeting'): void {
    this.#stage = stage;
    this.#stageSinceMs = this.#context.wheel.now();
  }

  #sinceStage(): number {
    return this.#context.wheel.now() - this.#stageSinceMs;
  }
}
