import type { Client } from '../admission/client-limits.ts';
import type { Address } from '../core/address.ts';
import { LINGER_MS } from '../core/limits.ts';
import { terminationColumn } from '../core/shard-stats.ts';
import type { Cause, Phase } from '../core/termination.ts';
import { createTimer } from '../core/timer-wheel.ts';
import type { ProxyHeader } from '../proxy-protocol/header.ts';
import type { CloseReason, Connection, Relay, RelayEnd, RelayHandler } from '../transport/contract.ts';
import type { TlsFault, TlsInfo } from '../transport/tls-contract.ts';
import type { XclientEnds } from '../xclient/xclient.ts';
import { IDLE_LOOKS, SessionAccount } from './account.ts';
import { BackendSearch, type SearchOwner } from './backend-search.ts';
import { ClientTls } from './client-tls.ts';
import type { SessionContext } from './context.ts';
import { DescriptorHold } from './descriptor-hold.ts';
import { EarlyClient } from './early-client.ts';
import type { HandshakeOwner, SessionHandshake } from './handshake.ts';
import { identityHeader } from './identity.ts';
import { LingeringClient } from './lingering-client.ts';
import { type ProxyHeaderOwner, ProxyHeaderReader } from './proxy-header-reader.ts';
import { type Ending, makeRecord, makeView, type RecordSource, type SessionView } from './record.ts';
import { refusalLine } from './refusal.ts';
import { guarded, handshakeOf, relayOf } from './serving.ts';
import { assertTransition, type SessionState } from './state.ts';
import { type TlsOwner, TlsSide } from './tls-side.ts';

/**
 * One client connection and the backend connection that serves it. The session decides what comes next; the work of
 * each phase is done by a part that knows nothing of the others. All it holds (admission, descriptors, slot, timer,
 * sockets) is given back in `terminate`, once and nowhere else.
 */
export class Session implements ProxyHeaderOwner, TlsOwner, SearchOwner, HandshakeOwner, RelayHandler {
  readonly #context: SessionContext;
  readonly #client: Connection;
  readonly #early: EarlyClient;
  readonly #acceptedAtMs: number;
  readonly #timer = createTimer(() => this.guard(() => this.#timedOut()));
  #state: SessionState = 'accepting';
  /** Why the session ends, and where it was then; decided once, though `closing` may take a while. */
  #ending: Ending | null = null;

  #clientAddress: Address;
  #destination: Address | null = null;
  #admitted: Client | null = null;
  readonly #descriptors: DescriptorHold;
  #search: BackendSearch | null = null;
  #handshake: SessionHandshake | null = null;
  #backend: Connection | null = null;
  #relay: Relay | null = null;

  #id: string | null = null;
  readonly #account: SessionAccount;
  /** Null where TLS is passed through. */
  readonly #tls: ClientTls | null;
  #committedAtMs = 0;
  #handshakeMs: number | null = null;

  constructor(context: SessionContext, client: Connection) {
    this.#context = context;
    this.#client = client;
    this.#clientAddress = client.remote;
    this.#acceptedAtMs = context.wheel.now();
    this.#account = new SessionAccount(context.stats, context.listener.row);
    this.#descriptors = new DescriptorHold(context.descriptors);
    this.#tls = context.tls === null ? null : new ClientTls(context.tls, context, client);
    this.#early = new EarlyClient(client, cause => this.terminate(cause));
    client.handler = this.#early;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** The session as it is now, for an operator. */
  view(): SessionView {
    if (this.#relay !== null) this.#account.count(this.#relay);
    return makeView(this.#source(), this.#state);
  }

  /** Starts the session of a connection just accepted. */
  begin(): void {
    const { listener, proxyFrom, stats, wheel } = this.#context;
    stats.listeners.add(listener.row, 'accepted');
    if (!this.#descriptors.enter()) return this.#refuse('descriptors');
    if (!proxyFrom.has(this.#clientAddress)) return this.#admit();
    this.#client.handler = new ProxyHeaderReader(this.#client, this);
    wheel.arm(this.#timer, listener.timeouts.proxyHeaderMs);
  }

  /** Runs what no transport guards: a fault of the program ends this session and nothing else. */
  guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#context.onError(error);
      this.terminate('internal');
    }
  }

  onHeader(header: ProxyHeader, rest: Uint8Array): void {
    this.#client.handler = this.#early;
    if (rest.length > 0) this.#early.onBytes(rest);
    if (header.source !== null) this.#clientAddress = header.source;
    this.#destination = header.destination;
    this.#admit();
  }

  onBadHeader(): void {
    this.terminate('proxy-header');
  }

  onGone(cause: 'client-closed' | 'client-reset'): void {
    this.terminate(cause);
  }

  #admit(): void {
    const { admission, listener, wheel } = this.#context;
    const admitted = admission.enter(this.#clientAddress);
    if (typeof admitted === 'string') return this.#refuse(admitted);
    this.#admitted = admitted;
    // One deadline for all that comes before the relay; no byte renews it.
    wheel.arm(this.#timer, this.#acceptedAtMs + listener.timeouts.handshakeMs - wheel.now());
    if (this.#tls?.first === true) this.#tls.begin(new TlsSide(this), this.#early.held.splice(0));
    else this.#searchBackend();
  }

  /** TLS from the start is in force. */
  onSecured(info: TlsInfo): void {
    this.#tls?.secured(info);
    this.#client.handler = this.#early;
    this.#searchBackend();
  }

  onTlsClosed(reason: CloseReason, fault: TlsFault | undefined): void {
    if (fault !== undefined) this.#tls?.failed(fault.code);
    this.terminate(fault !== undefined ? 'tls-failed' : reason === 'failed' ? 'internal' : 'client-reset');
  }

  #searchBackend(): void {
    this.#search = new BackendSearch(this.#clientHost(), this.#context, this);
    this.#search.begin();
  }

  onSearching(phase: 'selecting' | 'connecting'): void {
    this.#enter(phase);
  }

  identify(): Uint8Array | null {
    const { identity } = this.#context.balancer.pool;
    if (identity === 'none' || identity === 'xclient') return null;
    const { source, destination } = this.ends();
    return identityHeader(identity, source, destination, this.#identifier(), this.#tls?.info ?? null);
  }

  ends(): XclientEnds {
    return { source: this.#clientAddress, destination: this.#destination ?? this.#client.local };
  }

  onLost(cause: Cause): void {
    this.#refuse(cause);
  }

  /** From here on the client hears this backend and no other. */
  onFound(backend: Connection, greeting: readonly Uint8Array[]): void {
    this.#enter('handshaking');
    this.#committedAtMs = this.#context.wheel.now();
    const trusting = this.#context.balancer.pool.identity === 'xclient';
    this.#backend = trusting ? guarded(backend, greeting, cause => this.terminate(cause)) : backend;
    this.#handshake = handshakeOf(this.#tls, this.#client, this.#backend, this);
    this.#handshake.begin(greeting, this.#early.held.splice(0), this.#early.ended);
  }

  onHandshakeDone(): void {
    if (this.#ending !== null) return; // by what the guard found in the bytes just passed
    const backend = this.#backend as Connection;
    this.#enter('relaying');
    this.#leaveHandshake();
    this.#relay = relayOf(this.#context.transport, this.#client, backend, this);
    this.#armIdleness();
  }

  onHandshakeBroken(cause: Cause): void {
    if (cause === 'backend-protocol') this.#search?.greetingFailed();
    // A reset is passed on as a reset, an end as an end.
    if (cause === 'client-reset') this.#backend?.reset();
    else if (cause === 'backend-reset') this.#client.reset();
    if (cause === 'backend-closed') this.#linger(cause);
    else this.terminate(cause);
  }

  onRelayEnd(end: RelayEnd): void {
    this.terminate(end === 'ended' ? 'normal' : end === 'first-reset' ? 'client-reset' : 'backend-reset');
  }

  /** The instance stops: who waits hears 421 now, everybody else may finish. */
  drain(): void {
    if (this.#isIn('accepting', 'selecting')) this.#refuse('shutdown');
  }

  /** The instance has waited long enough, or the operator wants the backend for himself. */
  cut(cause: 'shutdown' | 'maintenance'): void {
    const unserved = this.#isIn('accepting', 'selecting', 'connecting');
    if (unserved || this.#handshake?.atCommand === true) this.#refuse(cause);
    else this.terminate(cause);
  }

  /** Its backend is wanted by the operator; returns whether that ends the session. Who has heard nothing moves on. */
  evict(): boolean {
    if (this.#state === 'connecting') this.#search?.moveOn();
    else this.cut('maintenance');
    return this.#ending !== null;
  }

  servedBy(pool: string, backend: string): boolean {
    return this.#context.balancer.pool.name === pool && this.#search?.backend?.name === backend;
  }

  /** The one exit; may be called at any moment, and again. */
  terminate(cause: Cause): void {
    if (this.#state === 'closed') return;
    const ending = this.#decide(cause);
    this.#enter('closed');
    const { admission, listener, stats, wheel } = this.#context;
    wheel.cancel(this.#timer);
    this.#leaveHandshake();
    this.#account.count(this.#relay);
    if (this.#relay === null) this.#client.destroy();
    else this.#relay.destroy();
    if (this.#admitted !== null) admission.leave(this.#admitted);
    this.#descriptors.leave();
    this.#leaveBackend();
    stats.listeners.add(listener.row, terminationColumn(ending.cause, ending.phase));
    stats.sessionSeconds.observe(listener.row, this.#ageMs() / 1_000);
    this.#context.onClosed(this);
    // Last: whatever becomes of the record, nothing is held any more.
    this.guard(() => this.#context.record?.(makeRecord(this.#source(), ending)));
  }

  #isIn(...states: readonly SessionState[]): boolean {
    return states.includes(this.#state);
  }

  /** The one gate. */
  #enter(state: SessionState): void {
    assertTransition(this.#state, state);
    this.#state = state;
  }

  #decide(cause: Cause): Ending {
    // `closing` and `closed` come after the decision, so what is left is a phase.
    this.#ending ??= { cause, phase: this.#state as Phase };
    return this.#ending;
  }

  /** The backend, or the search for one, is over; its slot is free for the next. */
  #leaveBackend(): void {
    if (this.#relay === null) this.#backend?.destroy();
    this.#search?.close();
  }

  /** Says why in SMTP, then closes; never in the middle of what a backend says. */
  #refuse(cause: Cause): void {
    if (this.#tls?.securing !== true) {
      this.#client.write(this.#tls?.alert(cause) ?? refusalLine(cause, this.#context.hostName));
    }
    this.#linger(cause);
  }

  /** Closes our direction and gives the client a moment to read what was said and leave. */
  #linger(cause: Cause): void {
    if (this.#tls?.securing === true) return this.terminate(cause);
    this.#decide(cause);
    this.#enter('closing');
    this.#client.end();
    this.#leaveHandshake();
    this.#leaveBackend();
    if (!this.#descriptors.linger() || this.#early.ended) return this.terminate(cause);
    this.#client.handler = new LingeringClient(this.#client, () => this.terminate(cause));
    this.#context.wheel.arm(this.#timer, LINGER_MS);
  }

  #timedOut(): void {
    if (this.#tls?.timedOut() === true) return this.terminate('tls-failed');
    switch (this.#state) {
      case 'accepting':
        return this.terminate('proxy-header');
      case 'selecting':
      case 'connecting':
        return this.#refuse('backend-timeout');
      case 'handshaking':
        if (this.#handshake?.atCommand === true) return this.#refuse('client-timeout');
        return this.terminate('backend-timeout');
      case 'relaying':
        return this.#lookForIdleness();
      case 'closing':
      case 'closed':
        return this.terminate('internal');
    }
  }

  #lookForIdleness(): void {
    if (this.#account.idle(this.#relay)) this.terminate('idle-timeout');
    else this.#armIdleness();
  }

  #armIdleness(): void {
    const { listener, wheel } = this.#context;
    wheel.arm(this.#timer, listener.timeouts.idleMs / IDLE_LOOKS);
  }

  #leaveHandshake(): void {
    const { record, wheel } = this.#context;
    if (this.#handshake === null) return;
    this.#account.closeHandshake(this.#handshake, record !== null);
    this.#handshakeMs = wheel.now() - this.#committedAtMs;
    this.#handshake = null;
  }

  #source(): RecordSource {
    return {
      id: this.#identifier(),
      ageMs: this.#ageMs(),
      listener: this.#context.listener.name,
      client: this.#clientAddress,
      via: this.#client.remote,
      pool: this.#context.balancer.pool.name,
      search: this.#search,
      handshakeMs: this.#handshakeMs,
      account: this.#account,
      tls: this.#tls,
    };
  }

  #identifier(): string {
    this.#id ??= this.#context.nextId();
    return this.#id;
  }

  #clientHost(): string {
    return this.#clientAddress.family === 'unix' ? 'unix' : this.#clientAddress.host;
  }

  #ageMs(): number {
    return this.#context.wheel.now() - this.#acceptedAtMs;
  }
}
