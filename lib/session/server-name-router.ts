import { ROUTING_COMMANDS } from '../core/limits.ts';
import type { ClientHelloFault, RouteMatch } from '../core/routing.ts';
import type { Cause } from '../core/termination.ts';
import { argumentOf, CommandLineReader, verbOf } from '../smtp/command-line.ts';
import { TLS_HANDSHAKE } from '../smtp/octets.ts';
import { readClientHello } from '../tls/client-hello.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';
import type { ClientIdentity } from './client-identity.ts';
import type { SessionContext } from './context.ts';
import {
  BARE_OCTET,
  chunkOctets,
  GO_AHEAD,
  isForeign,
  LINE_TOO_LONG,
  line,
  NO_PARAMETERS,
  TLS_REQUIRED,
} from './edge-commands.ts';
import { EdgeFacts } from './edge-facts.ts';
import type { Routing } from './routing.ts';

export interface RouterOwner {
  readonly who: ClientIdentity;
  /** The session goes on in `context`; `flight` begins with the client's ClientHello, untouched. */
  onRouted(context: SessionContext, flight: Uint8Array): void;
  /** The client has been told goodbye, or has closed its direction: it is closed in order. */
  onFarewell(): void;
  /** The client broke it off, or must not go on. */
  onHandshakeBroken(cause: Cause): void;
}

/** What the record of a session says of it. */
export interface RoutingFacts {
  /** What the client asked for; null where it asked for none, or did not come to it. */
  readonly serverName: string | null;
  /** How that led to the pool; null where it did not come to it. */
  readonly by: RouteMatch | null;
  /** Why it did not. */
  readonly fault?: string;
}

const OK = line('250 2.0.0 OK');
const NO_NAME = line('501 5.5.4 Syntax error: a host name is expected');

/**
 * Speaks with a client for whom there is no backend yet, because the name it asks for in TLS decides which. Commands are
 * answered here, and nothing of a mail is taken; then comes STARTTLS and, in the clear, the ClientHello.
 *
 *     commands ──STARTTLS, our 220──► hello ──ClientHello──► over
 *
 * Our 220 is the last line of SMTP outside of TLS. A byte that stands behind STARTTLS before it came in plaintext and
 * claims to be something else: it ends the session (RFC 3207 section 4, CVE-2011-0411), even where it looks like TLS.
 */
export class ServerNameRouter implements ConnectionHandler {
  readonly facts = new EdgeFacts();
  /** Bytes that were passed on, and none from a backend: all it says is for us. */
  bytesFromClient = 0;
  readonly bytesFromBackend = 0;
  /** What the client asked for; null before, and where it asked for none. */
  serverName: string | null = null;
  readonly #client: Connection;
  readonly #context: SessionContext;
  readonly #routing: Routing;
  readonly #owner: RouterOwner;
  readonly #lines = new CommandLineReader();
  #stage: 'commands' | 'hello' | 'over' = 'commands';
  /** Our 220 to STARTTLS is out: no line of SMTP may follow. */
  promised = false;
  #by: RouteMatch | null = null;
  #fault: string | null = null;
  #commands = 0;
  #full = false;
  #flight: Uint8Array = new Uint8Array(0);

  constructor(client: Connection, context: SessionContext, owner: RouterOwner) {
    if (context.routing === null) throw new Error(`listener ${context.listener.name} has no routes`);
    this.#client = client;
    this.#context = context;
    this.#routing = context.routing;
    this.#owner = owner;
  }

  /** Greets. `said` is what the client has said already; `ended` if it has closed its direction since. */
  begin(said: readonly Uint8Array[], ended: boolean): void {
    this.#client.handler = this;
    this.facts.greetingCode = 220;
    this.#say(this.#routing.words.greeting);
    // In one piece: all of it was said before anything of ours.
    if (said.length > 0) this.onBytes(Buffer.concat(said));
    if (this.#stage === 'over') return;
    if (ended) this.onEnd();
    else if (!this.#full) this.#client.resume();
  }

  /** A line of SMTP may be said: all commands have been answered. */
  get atCommand(): boolean {
    return !this.promised;
  }

  get record(): RoutingFacts {
    const fault = this.#fault === null ? {} : { fault: this.#fault };
    return { serverName: this.serverName, by: this.#by, ...fault };
  }

  /** The session's time is up. */
  timedOut(): void {
    if (this.#stage === 'hello') this.#failed('timeout', 'no whole ClientHello came in time');
  }

  /** The backend is where the client is: it is given what the client has said since. */
  join(backend: Connection, flight: readonly Uint8Array[], clientEnded: boolean): void {
    this.facts.starttls = 'accepted';
    for (const bytes of flight) {
      this.bytesFromClient += bytes.length;
      backend.write(bytes);
    }
    if (clientEnded) backend.end();
  }

  onConnect(): void {}

  onBytes(bytes: Uint8Array): void {
    if (this.#stage === 'hello') return this.#hear(bytes);
    if (this.#commands === 0 && bytes[0] === TLS_HANDSHAKE && this.#lines.line.length === 0)
      return this.#break('foreign-protocol');
    for (let at = 0; at < bytes.length && this.#stage === 'commands'; ) {
      at = this.#read(bytes, at);
      if (this.facts.starttls === 'requested') return this.#promise(bytes.length - at);
    }
  }

  onEnd(): void {
    if (this.#stage === 'hello') return this.#break('client-closed');
    this.#stage = 'over';
    this.#owner.onFarewell();
  }

  onDrain(): void {
    this.#full = false;
    this.#client.resume();
  }

  onClose(reason: CloseReason): void {
    this.#break(reason === 'failed' ? 'internal' : 'client-reset');
  }

  /** Reads one line, or a part of one, and returns the offset behind it. */
  #read(bytes: Uint8Array, from: number): number {
    const lines = this.#lines;
    const at = lines.read(bytes, from);
    if (lines.status === 'more') return at;
    if (++this.#commands > ROUTING_COMMANDS) this.#break('client-hello');
    else if (lines.status === 'line') this.#command(lines.line);
    else if (lines.status === 'malformed') this.#say(BARE_OCTET);
    else {
      lines.skipLine();
      this.#say(LINE_TOO_LONG);
    }
    return at;
  }

  #command(bytes: Uint8Array): void {
    if (this.#commands === 1 && isForeign(bytes)) return this.#break('foreign-protocol');
    switch (verbOf(bytes)) {
      case 'EHLO':
      case 'HELO':
        return this.#greet(bytes);
      case 'STARTTLS':
        if (argumentOf(bytes) !== '') return this.#say(NO_PARAMETERS);
        this.facts.starttls = 'requested';
        return;
      case 'NOOP':
      case 'RSET':
        return this.#say(OK);
      case 'QUIT':
        this.#say(this.#routing.words.bye);
        this.#stage = 'over';
        return this.#owner.onFarewell();
      default:
        this.#lines.skip(chunkOctets(bytes));
        return this.#say(TLS_REQUIRED);
    }
  }

  #greet(bytes: Uint8Array): void {
    if (argumentOf(bytes) === '') return this.#say(NO_NAME);
    this.facts.hear(bytes);
    if (this.facts.hello === 'HELO') return this.#say(this.#routing.words.helo);
    this.facts.capabilities = this.#routing.words.capabilities;
    if (this.facts.starttls === 'not-offered') this.facts.starttls = 'offered';
    this.#say(this.#routing.words.ehlo);
  }

  #say(bytes: Uint8Array): void {
    if (this.#client.write(bytes)) return;
    this.#full = true;
    this.#client.pause();
  }

  /** `more`: octets that stand behind STARTTLS already. */
  #promise(more: number): void {
    if (more > 0) {
      this.#failed('injection', 'the client sent plaintext behind STARTTLS');
      return this.#break('tls-injection');
    }
    this.#stage = 'hello';
    this.promised = true;
    this.#lines.begin();
    this.#say(GO_AHEAD);
  }

  #hear(bytes: Uint8Array): void {
    this.#flight = this.#flight.length === 0 ? Uint8Array.from(bytes) : Buffer.concat([this.#flight, bytes]);
    const hello = readClientHello(this.#flight);
    if (hello.status === 'incomplete') return;
    if (hello.status === 'invalid') {
      this.#failed('invalid', hello.reason);
      return this.#break('client-hello');
    }
    this.serverName = hello.serverName;
    this.#owner.who.asks(hello.serverName, this.facts.helloName());
    const { by, context } = this.#routing.route(hello.serverName);
    this.#by = by;
    context.stats.pools.add(context.balancer.pool.row, `routed/${by}`);
    const flight = this.#flight;
    this.#flight = new Uint8Array(0);
    this.#stage = 'over';
    this.#owner.onRouted(context, flight);
  }

  #failed(fault: ClientHelloFault, text: string): void {
    const { listener, stats } = this.#context;
    stats.listeners.add(listener.row, `clientHello/${fault}`);
    this.#fault = text;
  }

  #break(cause: Cause): void {
    if (this.#stage === 'over') return;
    if (this.#stage === 'hello' && this.#fault === null)
      this.#failed('closed', 'the client left before its ClientHello was whole');
    this.#stage = 'over';
    this.#flight = new Uint8Array(0);
    this.#owner.onHandshakeBroken(cause);
  }
}
