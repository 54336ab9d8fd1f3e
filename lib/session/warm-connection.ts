import type { FaultCode } from '../core/fault.ts';
import { WARM_FAREWELL_MS } from '../core/limits.ts';
import { printable } from '../core/text.ts';
import { Timer, type TimerOwner } from '../core/timer-wheel.ts';
import type { BackendSnapshot } from '../pool/snapshot.ts';
import { ReplyCollector } from '../smtp/reply-collector.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';
import { BackendDial, type DialContext, type DialOwner } from './backend-dial.ts';
import { faultOf } from './backend-faults.ts';
import type { Prepared } from './backend-preparation.ts';

export interface WarmOwner {
  /** It has greeted, and waits for a session. */
  onReady(connection: WarmConnection): void;
  /** It came to nothing, and holds nothing any more. `detail` is safe to show. */
  onFailed(connection: WarmConnection, fault: FaultCode, detail?: string): void;
  /** The backend has closed it, or said something, while it waited. */
  onLost(connection: WarmConnection): void;
  /** It has waited long enough. */
  onExpired(connection: WarmConnection): void;
  /** Nothing is held any more, whatever became of it. The last call. */
  onOver(connection: WarmConnection): void;
  /** Runs what no transport guards. */
  guard(call: () => void): void;
}

/**
 * A connection to a backend that nobody has asked for yet:
 *
 *     opening ─► ready ─► taken by a session
 *        ├─────────┴────► let go: QUIT once it has greeted, and a moment for all that
 *        └──────────────► over
 *
 * It is ready once the whole greeting is there and is 220, TLS is done and XCLIENT is offered, as its pool asks for. All that
 * the backend says after that ends it: nobody has asked anything, so it is a farewell, or meant to be taken for the answer
 * to what a client will say. A session takes it once and for good.
 */
export class WarmConnection implements ConnectionHandler, DialOwner, TimerOwner {
  /** Monotonic milliseconds. */
  readonly dialledAtMs: number;
  readonly #context: DialContext;
  readonly #owner: WarmOwner;
  readonly #dial: BackendDial;
  readonly #replies = new ReplyCollector();
  readonly #timer = new Timer(this);
  #state: 'dialling' | 'greeting' | 'ready' | 'leaving' | 'over' = 'dialling';
  /** Let go before it had greeted. */
  #isUnwanted = false;
  #connection: Connection | null = null;
  #prepared: Prepared = { greeting: new Uint8Array(0), tls: null, trusting: false, xclient: null };
  #expiresAtMs = Number.POSITIVE_INFINITY;

  constructor(backend: BackendSnapshot, context: DialContext, owner: WarmOwner) {
    this.#context = context;
    this.#owner = owner;
    this.dialledAtMs = context.wheel.now();
    this.#dial = new BackendDial(backend, { address: backend.address, header: () => null }, context, this);
  }

  /** It may be over within this call. */
  begin(): void {
    this.#dial.begin();
  }

  /** Ready, and not past its time: a clock that stood still for a while fires its timers late. */
  get isFresh(): boolean {
    return this.#state === 'ready' && this.#context.wheel.now() < this.#expiresAtMs;
  }

  /** It is to be renewed after this time. */
  keep(ms: number): void {
    this.#expiresAtMs = this.#context.wheel.now() + ms;
    this.#context.wheel.arm(this.#timer, ms);
  }

  /** Hands the connection to a session. It must be ready. */
  handOver(): { readonly connection: Connection; readonly prepared: Prepared } {
    const connection = this.#connection;
    if (this.#state !== 'ready' || connection === null) throw new Error('a warm connection was taken twice');
    this.#connection = null;
    this.#finish();
    return { connection, prepared: this.#prepared };
  }

  /**
   * Nobody wants it any more. The backend has accepted it, or is about to, and complains of who leaves without a word: so
   * QUIT comes in any case, as soon as it has greeted, if it does so in time.
   */
  letGo(): void {
    if (this.#state === 'leaving' || this.#state === 'over' || this.#isUnwanted) return;
    if (this.#state === 'ready') this.#leave();
    else this.#isUnwanted = true;
    this.#context.wheel.arm(this.#timer, WARM_FAREWELL_MS);
  }

  onDialling(): void {
    this.#state = 'dialling';
    this.#allow(this.#context.balancer.pool.connect.timeoutMs);
  }

  onConnected(): void {
    this.#state = 'greeting';
    this.#allow(this.#context.balancer.pool.connect.greetingTimeoutMs);
  }

  onPrepared(connection: Connection, prepared: Prepared): void {
    this.#connection = connection;
    this.#prepared = prepared;
    connection.handler = this;
    if (prepared.greeting.length > 0) this.onBytes(prepared.greeting);
  }

  onUnprepared(fault: FaultCode, detail?: string): void {
    this.#failed(fault, detail);
  }

  onConnect(): void {}
  onDrain(): void {}

  onBytes(bytes: Uint8Array): void {
    if (this.#state === 'ready') return this.#lost();
    if (this.#state !== 'greeting') return;
    const read = this.#replies.read(bytes, 0);
    const { status } = this.#replies;
    if (status === 'more' || status === 'line') return;
    if (status !== 'end') return this.#failed('bad-greeting', `its greeting is none (${status})`);
    const { code, lines, raw } = this.#replies.reply();
    if (code !== 220)
      return this.#failed('bad-greeting', `greeted with "${printable(`${code} ${lines.join(' ')}`)}"`);
    if (read < bytes.length) return this.#failed('bad-greeting', 'said more than its greeting');
    if (this.#isUnwanted) return this.#leave();
    this.#prepared = { ...this.#prepared, greeting: raw };
    this.#state = 'ready';
    this.#owner.onReady(this);
  }

  onEnd(): void {
    if (this.#state === 'ready') this.#lost();
    else if (this.#state === 'greeting') this.#failed('closed-early');
  }

  onClose(reason: CloseReason): void {
    if (this.#state === 'ready') this.#lost();
    else if (this.#state === 'greeting') this.#failed(faultOf(reason, false));
    else this.#finish();
  }

  /** Who was let go has a deadline already. */
  #allow(ms: number): void {
    if (!this.#isUnwanted) this.#context.wheel.arm(this.#timer, ms);
  }

  #leave(): void {
    this.#state = 'leaving';
    this.#connection?.write(Buffer.from('QUIT\r\n', 'latin1'));
    this.#connection?.end();
  }

  #lost(): void {
    this.#finish();
    this.#owner.onLost(this);
  }

  #failed(fault: FaultCode, detail?: string): void {
    if (this.#state === 'over') return;
    this.#finish();
    if (!this.#isUnwanted) this.#owner.onFailed(this, fault, detail);
  }

  onTimeout(): void {
    this.#owner.guard(() => this.#timedOut());
  }

  #timedOut(): void {
    if (this.#isUnwanted) return this.#finish();
    switch (this.#state) {
      case 'dialling':
        return this.#failed('connect-timeout');
      case 'greeting':
        if (this.#connection === null) return this.#dial.timedOut();
        return this.#failed('greeting-timeout');
      case 'ready':
        return this.#owner.onExpired(this);
      case 'leaving':
      case 'over':
        return this.#finish();
    }
  }

  #finish(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#context.wheel.cancel(this.#timer);
    this.#dial.stop();
    this.#connection?.destroy();
    this.#connection = null;
    this.#owner.onOver(this);
  }
}
