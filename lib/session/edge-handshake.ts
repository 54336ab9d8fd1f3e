import { CommandLineReader } from '../smtp/command-line.ts';
import { TLS_HANDSHAKE } from '../smtp/octets.ts';
import type { CloseReason, Connection } from '../transport/contract.ts';
import type { TlsFault, TlsInfo } from '../transport/tls-contract.ts';
import {
  BARE_OCTET,
  chunkOctets,
  type EdgeVerdict,
  GO_AHEAD,
  judge,
  LINE_TOO_LONG,
} from './edge-commands.ts';
import { EdgeFacts } from './edge-facts.ts';
import { EdgeReplies } from './edge-replies.ts';
import { BackendSide, ClientSide, type HandshakeOwner, type SessionHandshake } from './handshake.ts';
import { HandshakeEnd } from './handshake-end.ts';
import { TlsSide } from './tls-side.ts';

/** TLS with the client, and who keeps account of it: see ClientTls. */
export interface EdgeTls {
  /** The client began with TLS: it is in force already. */
  readonly first: boolean;
  /** Nothing of a mail is taken before. */
  readonly required: boolean;
  begin(handler: TlsSide): void;
  secured(info: TlsInfo): void;
  failed(code: TlsFault['code']): void;
}

/** Replies owed beyond which no more commands are read. */
const MOST_OWED = 64;

/**
 * The handshake of a session whose TLS ends here. Commands are read line by line: EHLO goes to the backend and its reply
 * comes back with our STARTTLS in the place of the backend's, STARTTLS is answered here, and so is what may not be said
 * yet. Answers of ours wait until the backend has given those it owes. The first command that belongs to a mail (or that
 * is not known) ends the reading: from there on all is relayed.
 *
 *     plaintext ──STARTTLS──► owed ──our 220──► securing ──handshake──► secured ──mail──► relay
 *         └─────────────────────── mail, where TLS is not required ────────────────────────►
 *
 * A byte between STARTTLS and our 220 came in plaintext and claims to be something else: it ends the session (RFC 3207
 * section 4, CVE-2011-0411). So does what is no TLS after the 220.
 */
export class EdgeHandshake extends HandshakeEnd implements SessionHandshake {
  readonly facts = new EdgeFacts();
  bytesFromClient = 0;
  readonly #tls: EdgeTls;
  readonly #lines = new CommandLineReader();
  readonly #replies: EdgeReplies;
  #stage: 'plaintext' | 'starttls' | 'securing' | 'secured';
  #helloFirst = false;
  #firstLine = true;
  /** Nothing is read any more, but for the replies that must be. */
  #opaque = false;
  #clientEnded = false;
  #begun = true;
  #backendFull = false;
  #clientFull = false;

  constructor(client: Connection, backend: Connection, tls: EdgeTls, owner: HandshakeOwner) {
    super(client, backend, owner);
    this.#tls = tls;
    this.#stage = tls.first ? 'secured' : 'plaintext';
    this.#replies = new EdgeReplies(tls.first, this.facts, bytes => this.#say(bytes));
  }

  get bytesFromBackend(): number {
    return this.#replies.octets;
  }

  get atCommand(): boolean {
    return !this.over && !this.#opaque && this.#replies.owed === 0 && !this.securing;
  }

  /** The client is within its TLS handshake, or about to be: there is no way to tell it anything. */
  get securing(): boolean {
    return this.#stage === 'securing';
  }

  begin(greeting: readonly Uint8Array[], early: readonly Uint8Array[], clientEnded: boolean): void {
    this.client.handler = new ClientSide(this);
    this.backend.handler = new BackendSide(this);
    this.#begun = false;
    for (const bytes of greeting) this.fromBackend(bytes);
    for (const bytes of early) this.fromClient(bytes);
    this.#begun = true;
    if (this.over) return;
    if (clientEnded) this.clientEnded();
    else this.#settle();
  }

  fromClient(bytes: Uint8Array): void {
    if (this.over) return;
    if (this.#awaitingTls()) return this.broken('tls-injection');
    if (this.#firstLine && bytes[0] === TLS_HANDSHAKE && this.#lines.line.length === 0) {
      return this.broken('foreign-protocol');
    }
    for (let at = 0; at < bytes.length && !this.over; ) {
      if (this.#opaque) {
        this.#forward(bytes.subarray(at));
        break;
      }
      if (this.#awaitingTls()) return this.broken('tls-injection');
      at = this.#read(bytes, at);
    }
    this.#settle();
  }

  fromBackend(bytes: Uint8Array): void {
    if (this.over) return;
    if (this.#stage === 'securing') return this.broken('backend-closed'); // a 421 that nobody can be told
    const fault = this.#replies.read(bytes);
    if (fault !== null) return this.broken(fault);
    if (this.#helloFirst && this.#replies.greetedAnew) this.#helloFirst = false;
    this.#settle();
  }

  clientEnded(): void {
    if (this.#awaitingTls()) return this.broken('client-closed');
    this.#clientEnded = true;
    this.backend.end();
    this.#opaque = true;
    this.#settle();
  }

  backendEnded(): void {
    if (this.over) return;
    if (this.#stage === 'securing' || this.#replies.owed > 0) return this.broken('backend-closed');
    this.client.end();
    this.finished();
  }

  clientDrained(): void {
    this.#clientFull = false;
    this.backend.resume();
    this.#readOn();
  }

  backendDrained(): void {
    this.#backendFull = false;
    this.#readOn();
  }

  /** STARTTLS was said, and the replies owed before ours are still to come: nothing may follow. */
  #awaitingTls(): boolean {
    return this.#stage === 'starttls';
  }

  /** Reads one line, or a part of one, and returns the offset behind it. */
  #read(bytes: Uint8Array, from: number): number {
    const lines = this.#lines;
    const at = lines.read(bytes, from);
    if (lines.status === 'more') return at;
    if (lines.status === 'line') this.#take(lines.line, this.#judge(lines.line));
    else if (lines.status === 'malformed') this.#replies.answer(BARE_OCTET);
    else this.#oversize(lines.line);
    this.#firstLine = false;
    return at;
  }

  #judge(line: Uint8Array): EdgeVerdict {
    return judge(line, {
      secured: this.#stage === 'secured',
      required: this.#tls.required,
      helloFirst: this.#helloFirst,
      firstLine: this.#firstLine,
    });
  }

  #take(line: Uint8Array, verdict: EdgeVerdict): void {
    switch (verdict.kind) {
      case 'local':
        this.#lines.skip(chunkOctets(line));
        return this.#replies.answer(verdict.reply);
      case 'foreign':
        return this.broken('foreign-protocol');
      case 'starttls':
        this.#stage = 'starttls';
        this.facts.starttls = 'requested';
        return;
      case 'relay':
        this.#opaque = true;
        return this.#forward(line);
      case 'hello':
      case 'helo':
      case 'pass':
        if (verdict.kind !== 'pass') this.facts.hear(line);
        this.#replies.owe(verdict.kind);
        return this.#forward(line);
    }
  }

  /** A line without end: of a command that belongs to a mail it may be one, of any other it is refused. */
  #oversize(line: Uint8Array): void {
    const verdict = this.#judge(line);
    if (verdict.kind === 'relay') return this.#take(line, verdict);
    this.#lines.skipLine();
    this.#replies.answer(LINE_TOO_LONG);
  }

  #forward(bytes: Uint8Array): void {
    this.bytesFromClient += bytes.length;
    if (!this.backend.write(bytes)) this.#backendFull = true;
  }

  #say(bytes: Uint8Array): void {
    if (this.client.write(bytes)) return;
    this.#clientFull = true;
    this.backend.pause();
  }

  /** After each step: is it time for TLS, or for the relay, and may the client go on? */
  #settle(): void {
    if (this.over || !this.#begun || this.securing) return;
    if (this.#stage === 'starttls' && this.#replies.owed === 0) this.#secure();
    else if (this.#opaque && !this.#replies.mustRead) this.finished();
    else this.#readOn();
  }

  #readOn(): void {
    if (this.over || this.securing) return;
    if (this.#backendFull || this.#clientFull || this.#replies.owed >= MOST_OWED) this.client.pause();
    else if (!this.#clientEnded) this.client.resume();
  }

  #secure(): void {
    this.client.write(GO_AHEAD);
    this.#stage = 'securing';
    this.#lines.begin();
    this.#tls.begin(new TlsSide(this));
  }

  onSecured(info: TlsInfo): void {
    if (this.over) return;
    this.#stage = 'secured';
    this.#helloFirst = true;
    // What the client was slow to read has gone out before the handshake, and nobody has said so.
    this.#clientFull = false;
    this.backend.resume();
    this.#replies.secured();
    this.facts.starttls = 'accepted';
    this.client.handler = new ClientSide(this);
    this.#tls.secured(info);
    this.#readOn();
  }

  onTlsClosed(reason: CloseReason, fault: TlsFault | undefined): void {
    if (this.over) return;
    if (fault === undefined) return this.closed('client-reset', reason);
    this.#tls.failed(fault.code);
    this.broken(fault.code === 'not-tls' ? 'tls-injection' : 'tls-failed');
  }
}
