import type { Client } from '../admission/client-limits.ts';
import type { DescriptorHold } from '../admission/descriptor-budget.ts';
import type { Link } from '../core/chain.ts';
import { LINGER_MS } from '../core/limits.ts';
import type { Cause, Phase } from '../core/termination.ts';
import { Timer } from '../core/timer-wheel.ts';
import type { ProxyHeader } from '../proxy-protocol/header.ts';
import type { CloseReason, Connection, Relay, RelayEnd } from '../transport/contract.ts';
import type { TlsFault, TlsInfo } from '../transport/tls-contract.ts';
import { IDLE_LOOKS, SessionAccount } from './account.ts';
import { BackendSearch } from './backend-search.ts';
import { ClientIdentity } from './client-identity.ts';
import { ClientTls } from './client-tls.ts';
import type { SessionContext } from './context.ts';
import { EarlyClient, SERVED } from './early-client.ts';
import type { Finding } from './finding.ts';
import type { HandshakeCount } from './handshake.ts';
import { LingeringClient } from './lingering-client.ts';
import type { PartsOwner } from './parts-owner.ts';
import { noteExposure } from './preparation-news.ts';
import { ProxyHeaderReader } from './proxy-header-reader.ts';
import { type Ending, makeRecord, makeView, type RecordSource, type SessionView } from './record.ts';
import { sayLast } from './refusal.ts';
import { ServerNameRouter } from './server-name-router.ts';
import { guarded, handshakeOf, relayOf } from './serving.ts';
import { assertTransition, isWithoutBackend, type SessionState } from './state.ts';
import { TlsSide } from './tls-side.ts';

/**
 * One client connection and the backend connection that serves it. The session decides what comes next; the work of
 * each phase is done by a part that knows nothing of the others. All it holds (admission, descriptors, slot, timer,
 * sockets) is given back in `terminate`, once and nowhere else.
 */
export class Session implements PartsOwner, Link<Session> {
  /** Its neighbours among the sessions of the shard. */
  previous: Session | null = null;
  next: Session | null = null;
  /** With routing, exchanged once for that of the pool the client asks for. */
  #context: SessionContext;
  readonly #client: Connection;
  #early: EarlyClient;
  readonly #acceptedAtMs: number;
  readonly #timer = new Timer(this);
  #state: SessionState = 'accepting';
  /** Why the session ends, and where it was then; decided once, though `closing` may take a while. */
  #ending: Ending | null = null;
  readonly who: ClientIdentity;
  #admitted: Client | null = null;
  #descriptors: DescriptorHold | null = null;
  /** Null before, and once the session is served. */
  #search: BackendSearch | null = null;
  #finding: Finding | null = null;
  #handshake: HandshakeCount | null = null;
  #backend: Connection | null = null;
  #relay: Relay | null = null;
  readonly #account: SessionAccount;
  /** Null where TLS is passed through. */
  readonly #tls: ClientTls | null;
  /** Null unless the server name in TLS chooses the pool. */
  #router: ServerNameRouter | null = null;

  constructor(context: SessionContext, client: Connection) {
    this.#context = context;
    this.#client = client;
    this.who = new ClientIdentity(client, context.nextId);
    this.#acceptedAtMs = context.wheel.now();
    this.#account = new SessionAccount(context.stats, context.listener.row);
    this.#tls = context.tls === null ? null : new ClientTls(context.tls, context, client);
    this.#early = new EarlyClient(client, this);
    client.handler = this.#early;
  }

  /** The session as it is now, for an operator. */
  view(): SessionView {
    if (this.#relay !== null) this.#account.count(this.#relay);
    return makeView(this.#source(), this.#state);
  }

  /** Starts the session of a connection just accepted. */
  begin(): void {
    const { descriptors, listener, proxyFrom, wheel } = this.#context;
    this.#account.opened();
    this.#descriptors = descriptors.enter();
    if (this.#descriptors === null) return this.#refuse('descriptors');
    if (!proxyFrom.has(this.who.address)) return this.#admit();
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

  onTimeout(): void {
    this.guard(() => this.#timedOut());
  }

  onHeader(header: ProxyHeader, rest: Uint8Array): void {
    this.#client.handler = this.#early;
    if (rest.length > 0) this.#early.onBytes(rest);
    this.who.introduced(header);
    this.#admit();
  }

  onBadHeader(): void {
    this.terminate('proxy-header');
  }

  onGone(cause: Cause): void {
    this.terminate(cause);
  }

  #admit(): void {
    const { admission, listener, routing, wheel } = this.#context;
    const admitted = admission.enter(this.who.address);
    if (typeof admitted === 'string') return this.#refuse(admitted);
    this.#admitted = admitted;
    // One deadline for all that comes before the relay; no byte renews it.
    wheel.arm(this.#timer, this.#acceptedAtMs + listener.timeouts.handshakeMs - wheel.now());
    if (this.#tls?.first === true) this.#tls.begin(new TlsSide(this), this.#early.take());
    else if (routing !== null) this.#askForName();
    else this.#searchBackend();
  }

  #askForName(): void {
    this.#enter('routing');
    this.#account.greeted(this.#ageMs());
    this.#router = new ServerNameRouter(this.#client, this.#context, this);
    this.#handshake = this.#router;
    this.#router.begin(this.#early.take(), this.#early.ended);
  }

  onRouted(context: SessionContext, flight: Uint8Array): void {
    this.#context = context;
    this.#client.handler = this.#early;
    this.#early.onBytes(flight);
    this.#searchBackend();
  }

  onFarewell(): void {
    this.#linger('client-closed');
  }

  /** TLS from the start is in force. */
  onSecured(info: TlsInfo): void {
    this.#tls?.secured(info);
    this.who.secured(info);
    this.#client.handler = this.#early;
    this.#searchBackend();
  }

  onTlsClosed(reason: CloseReason, fault: TlsFault | undefined): void {
    this.terminate(this.#tls?.closed(reason, fault) ?? 'internal');
  }

  #searchBackend(): void {
    this.#search = new BackendSearch(this.who.host, this.#context, this);
    this.#finding = this.#search.finding;
    this.#search.begin();
  }

  onSearching(phase: 'selecting' | 'connecting'): void {
    this.#enter(phase);
  }

  onLost(cause: Cause): void {
    this.#refuse(cause);
  }

  /** From here on the client hears this backend and no other. */
  onFound(backend: Connection, greeting: readonly Uint8Array[]): void {
    if (this.#router !== null) return this.#join(backend, this.#router);
    this.#enter('handshaking');
    this.#account.greeted(this.#ageMs());
    this.#backend = guarded(this.#search, backend, greeting, cause => this.terminate(cause));
    const handshake = handshakeOf(this.#tls, this.#client, this.#backend, this);
    this.#handshake = handshake;
    handshake.begin(greeting, this.#early.take(), this.#early.ended);
  }

  /** The backend awaits TLS as the client does; all that both say from now on is theirs. */
  #join(backend: Connection, router: ServerNameRouter): void {
    this.#backend = backend;
    router.join(backend, this.#early.take(), this.#early.ended);
    this.onHandshakeDone();
  }

  onHandshakeDone(): void {
    if (this.#ending !== null) return; // by what the guard found in the bytes just passed
    const backend = this.#backend as Connection;
    this.#enter('relaying');
    this.#leaveHandshake();
    this.#search = null;
    this.#early = SERVED;
    this.#relay = relayOf(this.#context.transport, this.#client, backend, this);
    this.#armIdleness();
  }

  onHandshakeBroken(cause: Cause): void {
    if (cause === 'backend-protocol') this.#search?.greetingFailed();
    // A reset is passed on as a reset, an end as an end.
    if (cause === 'client-reset') this.#backend?.reset();
    else if (cause === 'backend-reset') this.#client.reset();
    if (cause === 'backend-closed') this.#linger(cause);
    else if (cause === 'client-hello') this.#refuse(cause);
    else this.terminate(cause);
  }

  onRelayEnd(end: RelayEnd): void {
    this.terminate(end === 'ended' ? 'normal' : end === 'first-reset' ? 'client-reset' : 'backend-reset');
  }

  /** The instance stops: who waits hears 421 now, everybody else may finish. */
  drain(): void {
    if (isWithoutBackend(this.#state)) this.#refuse('shutdown');
  }

  /** The instance has waited long enough, or the operator wants the backend for himself. */
  cut(cause: 'shutdown' | 'maintenance'): void {
    const unserved = isWithoutBackend(this.#state) || this.#state === 'connecting';
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
    return this.#context.balancer.pool.name === pool && this.#finding?.backend?.name === backend;
  }

  /** The one exit; may be called at any moment, and again. */
  terminate(cause: Cause): void {
    if (this.#state === 'closed') return;
    const ending = this.#decide(cause);
    this.#enter('closed');
    const { admission, wheel } = this.#context;
    wheel.cancel(this.#timer);
    this.#leaveHandshake();
    this.#account.count(this.#relay);
    (this.#relay ?? this.#client).destroy();
    if (this.#admitted !== null) admission.leave(this.#admitted);
    this.#descriptors?.giveBack();
    this.#leaveBackend();
    this.#account.closed(ending, this.#ageMs());
    this.#context.onClosed(this);
    // Last: whatever becomes of the record, nothing is held any more.
    this.guard(() => this.#context.record?.(makeRecord(this.#source(), ending)));
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
    this.#finding?.releaseSlot(this.#context.balancer);
  }

  /** Says why in SMTP, then closes; never in the middle of what a backend says. */
  #refuse(cause: Cause): void {
    sayLast(this.#client, cause, this.#context.hostName, this.#tls, this.#router);
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
    if (this.#early.ended) return this.terminate(cause);
    this.#descriptors ??= this.#context.descriptors.linger(() => this.terminate('descriptors'));
    this.#client.handler = new LingeringClient(this.#client, () => this.terminate(cause));
    this.#context.wheel.arm(this.#timer, LINGER_MS);
  }

  #timedOut(): void {
    if (this.#tls?.timedOut() === true) return this.terminate('tls-failed');
    switch (this.#state) {
      case 'accepting':
        return this.terminate('proxy-header');
      case 'routing':
        this.#router?.timedOut();
        return this.#refuse('client-timeout');
      case 'selecting':
      case 'connecting':
        return this.#refuse('backend-timeout');
      case 'handshaking':
        if (this.#handshake?.atCommand === true) return this.#refuse('client-timeout');
        return this.terminate('backend-timeout');
      case 'relaying':
        if (this.#account.idle(this.#relay)) return this.terminate('idle-timeout');
        this.#relay?.keepAlive();
        return this.#armIdleness();
      default:
        return this.terminate('internal');
    }
  }

  #armIdleness(): void {
    this.#context.wheel.arm(this.#timer, this.#context.listener.timeouts.idleMs / IDLE_LOOKS);
  }

  #leaveHandshake(): void {
    if (this.#handshake === null) return;
    noteExposure(this.#context, this.#finding?.backend ?? null, this.#handshake.facts);
    this.#account.closeHandshake(this.#handshake, this.#context.record !== null, this.#ageMs());
    this.#handshake = null;
  }

  #source(): RecordSource {
    return {
      context: this.#context,
      ageMs: this.#ageMs(),
      who: this.who,
      via: this.#client.remote,
      finding: this.#finding,
      account: this.#account,
      tls: this.#tls,
      router: this.#router,
    };
  }

  #ageMs(): number {
    return this.#context.wheel.now() - this.#acceptedAtMs;
  }
}
