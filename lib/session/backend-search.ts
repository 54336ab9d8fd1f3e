import type { Waiter } from '../balancer/balancer.ts';
import { microseconds } from '../core/clock.ts';
import { FAULTS, type FaultCode } from '../core/fault.ts';
import type { BackendColumn } from '../core/shard-stats.ts';
import { Timer, type TimerOwner } from '../core/timer-wheel.ts';
import type { BackendSnapshot } from '../pool/snapshot.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';
import { NOTHING } from './at-rest.ts';
import { BackendDial, type DialOwner } from './backend-dial.ts';
import { CAUSE_OF, faultOf } from './backend-faults.ts';
import { BackendGreeting } from './backend-greeting.ts';
import type { Prepared } from './backend-preparation.ts';
import type { SessionContext } from './context.ts';
import { Finding } from './finding.ts';
import type { SearchOwner } from './search-owner.ts';
import { type OpeningOwner, StarttlsOpening } from './starttls-opening.ts';
import { type StickyClient, stickyClient } from './sticky-client.ts';
import { type IntroductionOwner, XclientIntroduction } from './xclient-introduction.ts';

/**
 * From "this client needs a backend" to a backend that has greeted. Everything here is invisible to the client, so a
 * backend that refuses, resets, is silent or is no mail server is left for another, within `connect.attempts`.
 * Holds the session's slot at every moment but while it waits in the queue. Let go once the session is served: what it has
 * come to stays.
 */
export class BackendSearch
  implements Waiter, ConnectionHandler, DialOwner, IntroductionOwner, OpeningOwner, TimerOwner
{
  readonly client: string;
  triedRows: readonly number[] = NOTHING;
  readonly finding = new Finding();
  /** It was to be told by XCLIENT who the client is, whatever a reload has made of the pool since. */
  trusting = false;

  readonly stickyKey: string | null;
  readonly #sticky: StickyClient | null;
  readonly #context: SessionContext;
  readonly #owner: SearchOwner;
  readonly #timer = new Timer(this);
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
    this.#sticky = stickyClient(context, owner);
    this.stickyKey = this.#sticky?.key ?? null;
  }

  get preferred(): string | null {
    return this.#sticky?.backend ?? null;
  }

  /** Looks for a backend; the owner hears the outcome, perhaps within this call. */
  begin(): void {
    this.#owner.onSearching('selecting');
    const sticky = this.#sticky;
    if (sticky === null) return this.#select();
    sticky.recall(() => {
      this.finding.sticky = sticky.found;
      this.#select();
    });
  }

  #select(): void {
    const { balancer } = this.#context;
    const isRetry = this.finding.failedTries.length > 0;
    const outcome = balancer.select(this);
    if (outcome === 'none') return this.#lost();
    if (outcome !== 'full') return this.#approach(outcome);
    // A session that dialled in vain ended while connecting, unless it had to wait again.
    if (isRetry) this.#owner.onSearching('selecting');
    if (!balancer.wait(this)) return this.#owner.onLost('queue-full');
    this.#enter('queued');
    this.#arm(balancer.pool.queue.timeoutMs);
  }

  /** The session is over, at whatever stage: part of its one exit, which gives back the slot. */
  close(): void {
    this.#sticky?.close();
    this.#leaveQueue();
    this.#stop();
  }

  onTimeout(): void {
    this.#owner.guard(() => this.#timedOut());
  }

  /** Another backend, though this one has not failed: the operator wants it for himself. */
  moveOn(): void {
    this.#stop();
    this.#releaseSlot();
    if (this.finding.failedTries.length === 0) this.#owner.onSearching('selecting');
    this.#select();
  }

  /** The greeting, passed on by its first line, went on as no greeting does. */
  greetingFailed(): void {
    const { backend } = this.finding;
    if (backend !== null) this.#context.balancer.failed(backend, 'bad-greeting', this.#pickedAtMs);
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
    this.finding.connectUs = 0;
    this.finding.greetingUs = 0;
    this.finding.tls = null;
    this.trusting = false;
    this.#isWarm = false;
    this.#enter('dialling');
    this.#owner.onSearching('connecting');
    this.#arm(balancer.pool.connect.timeoutMs);
  }

  onConnected(): void {
    const { balancer, stats } = this.#context;
    const connectMs = this.#sinceStage();
    this.finding.connectUs = microseconds(connectMs);
    stats.connectSeconds.observe(balancer.pool.row, connectMs / 1_000);
    this.#awaitGreeting();
  }

  onPrepared(connection: Connection, { greeting, tls, trusting, xclient }: Prepared): void {
    this.#dial = null;
    this.#connection = connection;
    this.finding.tls = tls;
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
    const { backend } = this.finding;
    if (backend !== null) this.#context.stats.backends.add(backend.row, column);
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
    this.finding.queueUs += microseconds(waitedMs);
    stats.queueSeconds.observe(balancer.pool.row, waitedMs / 1_000);
    balancer.leave(this);
    this.#enter('idle');
  }

  #approach(backend: BackendSnapshot): void {
    const { balancer, stats, wheel } = this.#context;
    const lastFault = this.finding.failedTries.at(-1)?.fault;
    if (lastFault !== undefined) stats.pools.add(balancer.pool.row, `retry/${lastFault}`);
    this.finding.took(backend);
    this.#pickedAtMs = wheel.now();
    const taken = this.#context.warm.take(balancer, backend);
    if (taken === null) return this.#dialBackend(backend);
    this.#isWarm = true;
    this.finding.connectUs = 0;
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
    const { backend } = this.finding;
    const connection = this.#connection;
    if (backend === null || connection === null) return;
    this.#disarm();
    const greetingMs = this.#sinceStage();
    this.finding.greetingUs = microseconds(greetingMs);
    stats.greetingSeconds.observe(balancer.pool.row, greetingMs / 1_000);
    balancer.succeeded(backend);
    if (this.#greeting?.verdict !== 'busy') this.#sticky?.greetedBy(backend, this.triedRows);
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
    const { backend, failedTries } = this.finding;
    const isLast = failedTries.length + 1 >= attempts;
    if (backend === null || isLast || !retryOnGreeting.includes(code)) return false;
    this.triedRows = [...this.triedRows, backend.row];
    const next = balancer.select(this);
    if (typeof next === 'string') return false;
    this.#leaveBackend(backend, 'busy-greeting');
    this.#approach(next);
    return true;
  }

  #failed(fault: FaultCode, detail?: string): void {
    const { backend } = this.finding;
    if (backend === null) return;
    if (this.#isWarm && (fault === 'closed-early' || fault === 'reset-early')) {
      // It tired of waiting, which says nothing of a connection that begins now.
      this.#context.warm.died(this.#context.balancer, backend);
      this.#stop();
      return this.#dialBackend(backend);
    }
    this.triedRows = [...this.triedRows, backend.row];
    this.#leaveBackend(backend, fault, detail);
    if (
      FAULTS[fault].retryable &&
      this.finding.failedTries.length < this.#context.balancer.pool.connect.attempts
    )
      this.#select();
    else this.#lost();
  }

  #leaveBackend(backend: BackendSnapshot, fault: FaultCode, detail?: string): void {
    const failed = { backend: backend.name, fault, ...(detail !== undefined && { detail }) };
    this.finding.failedTries = [...this.finding.failedTries, failed];
    this.#stop();
    this.#context.balancer.failed(backend, fault, this.#pickedAtMs, detail);
    this.#releaseSlot();
  }

  /** What the last backend did tells an operator more than that there was no other. */
  #lost(): void {
    this.#stop();
    const fault = this.finding.failedTries.at(-1)?.fault;
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
    this.finding.releaseSlot(this.#context.balancer);
  }

  #arm(delayMs: number): void {
    this.#context.wheel.arm(this.#timer, delayMs);
  }

  #disarm(): void {
    this.#context.wheel.cancel(this.#timer);
  }

  #enter(stage: 'idle' | 'queued' | 'dialling' | 'greeting'): void {
    this.#stage = stage;
    this.#stageSinceMs = this.#context.wheel.now();
  }

  #sinceStage(): number {
    return this.#context.wheel.now() - this.#stageSinceMs;
  }
}
