import type { FaultCode } from '../core/fault.ts';
import type { BackendColumn } from '../core/shard-stats.ts';
import { printable } from '../core/text.ts';
import type { BackendSnapshot } from '../pool/snapshot.ts';
import { capabilityBit } from '../smtp/capabilities.ts';
import { ReplyCollector, type WholeReply } from '../smtp/reply-collector.ts';
import { distrust } from '../tls/backend-tls.ts';
import type { CloseReason, Connection, ConnectionHandler, Transport } from '../transport/contract.ts';
import type { TlsFault, TlsInfo } from '../transport/tls-contract.ts';
import { offeredAttributes } from '../xclient/xclient.ts';
import type { PlannedTls, PreparationPlan } from './preparation-plan.ts';

/** What can be had of a backend before a client is known. */
export interface Prepared {
  /** What came of the greeting, perhaps nothing yet. */
  readonly greeting: Uint8Array;
  /** The TLS that is in force; null without. */
  readonly tls: TlsInfo | null;
  /** It is to be told by XCLIENT who the client is, where it offers that: it may believe a client, too. */
  readonly trusting: boolean;
  /** The attributes of XCLIENT, which is to be said next; null where it is not. */
  readonly xclient: ReadonlySet<string> | null;
}

export interface PreparationOwner {
  onPrepared(prepared: Prepared): void;
  /** This backend will not do. `detail` is safe to show. */
  onUnprepared(fault: FaultCode, detail: string): void;
  /** TLS came to nothing where it `may`: the same backend again, without. */
  onPlaintextWanted(detail: string): void;
  /** Whether the backend offers XCLIENT, where that is to be known. */
  onXclientOffered(offered: boolean): void;
  /** Something to count for the backend. */
  count(column: BackendColumn): void;
}

export interface PreparationOptions {
  readonly plan: PreparationPlan;
  readonly backend: BackendSnapshot;
  /** Our name in EHLO. */
  readonly hostName: string;
  readonly transport: Transport;
  /** Monotonic milliseconds. */
  readonly nowMs: number;
}

/** Resumed sessions show no certificate: after this long it is looked at again. */
const TRUSTED_MS = 3_600_000;

const STARTTLS = capabilityBit('STARTTLS');

/**
 * What a connection to a backend goes through after "connected", whoever the client will be, where the pool asks for it:
 *
 *     [TLS] ─► greeting ─► [EHLO ─► STARTTLS ─► 220 ─► TLS] ─► [EHLO: is XCLIENT offered?]
 *
 * None of it reaches the client, who sees the last greeting there was and speaks its own EHLO next; XclientIntroduction is
 * what follows where XCLIENT is offered. What the backend said before TLS counts for nothing after it (RFC 3207 section
 * 4.2), but for the greeting. The owner holds the deadline.
 */
export class BackendPreparation implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #options: PreparationOptions;
  readonly #owner: PreparationOwner;
  #replies = new ReplyCollector();
  #stage: 'greeting' | 'hello' | 'starttls' | 'handshake' | 'over' = 'greeting';
  #tls: TlsInfo | null = null;
  /** The greeting the client sees if no other one comes. */
  #greeting: Uint8Array = new Uint8Array(0);

  constructor(connection: Connection, options: PreparationOptions, owner: PreparationOwner) {
    this.#connection = connection;
    this.#options = options;
    this.#owner = owner;
  }

  /** The connection is established, and a PROXY header written. */
  begin(): void {
    this.#connection.handler = this;
    if (this.#wanted?.mode === 'implicit') this.#secure(this.#wanted);
  }

  /** Time is up. */
  timedOut(): void {
    if (this.#stage === 'handshake') this.#handshakeFailed('it was not over in time');
    else this.#fail('greeting-timeout', `the backend said nothing in time ${this.#where()}`);
  }

  onConnect(): void {}

  onBytes(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.#stage !== 'over'; ) {
      at = this.#replies.read(bytes, at);
      const { status } = this.#replies;
      if (status === 'end') {
        return this.#settle(this.#replies.reply(), bytes.subarray(at));
      } else if (status !== 'more' && status !== 'line') {
        return this.#nonsense(bytes.subarray(at));
      }
    }
  }

  onEnd(): void {
    this.#fail('closed-early', `the backend closed the connection ${this.#where()}`);
  }

  onDrain(): void {}

  onSecure(info: TlsInfo): void {
    const { backend, nowMs, plan } = this.#options;
    const { tls } = plan;
    if (tls === null) return;
    const doubt = distrust(info, backend.tlsName, tls);
    if (doubt !== null) {
      tls.sessions.delete(backend.row);
      this.#owner.count('tls/untrusted');
      return this.#fail('tls-failed', doubt);
    }
    if (!info.resumed) tls.trustedAtMs.set(backend.row, nowMs);
    this.#owner.count(info.resumed ? 'tls/resumed' : 'tls/ok');
    this.#tls = info;
    this.#replies = new ReplyCollector();
    if (tls.mode === 'implicit') {
      if (plan.xclient === null) this.#finish(new Uint8Array(0));
      else this.#stage = 'greeting';
    } else if (plan.xclient === null) this.#finish(this.#greeting);
    else this.#hello();
  }

  onClose(reason: CloseReason, fault?: TlsFault): void {
    if (this.#stage === 'handshake') return this.#handshakeFailed(fault?.text ?? reason);
    const reset = reason === 'reset';
    const how = reset ? 'reset' : 'closed';
    this.#fail(reset ? 'reset-early' : 'closed-early', `the backend ${how} the connection ${this.#where()}`);
  }

  #handshakeFailed(why: string): void {
    const { backend, plan } = this.#options;
    this.#owner.count('tls/failed');
    plan.tls?.sessions.delete(backend.row);
    const detail = `the TLS handshake failed: ${printable(why)}`;
    if (plan.tls?.mode === 'may') this.#goPlain(detail);
    else this.#fail('tls-failed', detail);
  }

  /** The settings for a handshake that is still to be tried; not where it has just failed, and `may` be left out. */
  get #wanted(): PlannedTls | null {
    const { backend, nowMs, plan } = this.#options;
    const plaintext = nowMs < (plan.plainUntilMs.get(backend.row) ?? 0);
    return plaintext || this.#tls !== null ? null : plan.tls;
  }

  /** What comes after this reply; `rest` is what the backend has sent behind it. */
  #settle(reply: WholeReply, rest: Uint8Array): void {
    switch (this.#stage) {
      case 'greeting':
        return this.#greeted(reply, rest);
      case 'hello':
        return rest.length > 0 ? this.#unasked() : this.#helloAnswered(reply);
      case 'starttls':
        return this.#starttlsAnswered(reply, rest);
      case 'handshake':
      case 'over':
        return;
    }
  }

  #greeted({ code, raw }: WholeReply, rest: Uint8Array): void {
    this.#greeting = raw;
    // A refusal is the backend's word to the client, or a reason to try another: not for us to decide.
    if (code !== 220 || (this.#wanted === null && this.#options.plan.xclient === null))
      this.#finish(Buffer.concat([raw, rest]));
    else if (rest.length > 0) this.#unasked();
    else this.#hello();
  }

  /** What comes unasked would be taken for the answer to what is asked next. */
  #unasked(): void {
    this.#fail('bad-greeting', `the backend said more than it was asked ${this.#where()}`);
  }

  #hello(): void {
    this.#stage = 'hello';
    this.#say(`EHLO ${this.#options.hostName}`);
  }

  #helloAnswered(reply: WholeReply): void {
    if (reply.code === 421) return this.#fail('closed-early', `answered EHLO with ${shown(reply)}`);
    const wanted = this.#wanted;
    if (wanted === null) return this.#askForXclient(reply);
    if (reply.code === 250 && (reply.capabilities & STARTTLS) !== 0) {
      this.#stage = 'starttls';
      return this.#say('STARTTLS');
    }
    const what = reply.code === 250 ? 'does not offer STARTTLS' : `answered EHLO with ${shown(reply)}`;
    this.#withoutTls(what, reply);
  }

  #starttlsAnswered(reply: WholeReply, rest: Uint8Array): void {
    const wanted = this.#wanted;
    if (wanted === null) return;
    if (reply.code !== 220) {
      // It answered EHLO before, but not what is needed now: asked again.
      if (wanted.mode === 'may') return this.#goPlain(`answered STARTTLS with ${shown(reply)}`);
      return this.#fail('starttls-refused', `answered STARTTLS with ${shown(reply)}`);
    }
    // RFC 3207 section 4.2, CVE-2021-38371: what came in plaintext must not count as if it came in TLS.
    if (rest.length > 0)
      return this.#fail('starttls-injection', 'the backend sent plaintext behind its 220 to STARTTLS');
    this.#secure(wanted);
  }

  #withoutTls(what: string, hello: WholeReply): void {
    if (this.#wanted?.mode !== 'may') return this.#fail('starttls-refused', what);
    this.#owner.count('tls/plaintext');
    this.#askForXclient(hello);
  }

  #goPlain(detail: string): void {
    this.#over();
    this.#owner.count('tls/plaintext');
    this.#owner.onPlaintextWanted(detail);
  }

  #secure(wanted: PlannedTls): void {
    const { sessions, trustedAtMs } = wanted;
    const { backend, nowMs, transport } = this.#options;
    if (transport.secure === undefined)
      return this.#fail('failed', `the ${transport.name} transport speaks no TLS`);
    this.#stage = 'handshake';
    const { row } = backend;
    const trusted = nowMs - (trustedAtMs.get(row) ?? Number.NEGATIVE_INFINITY) < TRUSTED_MS;
    transport.secure(this.#connection, {
      role: 'client',
      settings: wanted,
      serverName: backend.tlsName,
      session: trusted ? sessions.get(row) : undefined,
      onSession: session => sessions.set(row, session),
    });
  }

  #askForXclient(hello: WholeReply): void {
    const { plan } = this.#options;
    if (plan.xclient === null) return this.#finish(this.#greeting);
    const offered = hello.code === 250 ? offeredAttributes(hello.lines) : null;
    this.#owner.onXclientOffered(offered !== null);
    if (offered !== null) return this.#finish(this.#greeting, offered);
    this.#owner.count('xclient/not-offered');
    if (plan.xclient.required) this.#fail('xclient-missing', 'does not offer XCLIENT with ADDR');
    else this.#finish(this.#greeting);
  }

  /** No reply. In place of the first greeting that is for the greeting gate to judge, as without a preparation. */
  #nonsense(rest: Uint8Array): void {
    if (this.#stage === 'greeting') return this.#finish(Buffer.concat([this.#replies.raw, rest]));
    const text = printable(Buffer.from(this.#replies.raw).toString('latin1'));
    this.#fail('bad-greeting', `sent "${text}" ${this.#where()} (${this.#replies.status})`);
  }

  #say(line: string): void {
    this.#connection.write(Buffer.from(`${line}\r\n`, 'latin1'));
  }

  #finish(greeting: Uint8Array, xclient: ReadonlySet<string> | null = null): void {
    this.#over();
    const trusting = this.#options.plan.xclient !== null;
    this.#owner.onPrepared({ greeting, tls: this.#tls, trusting, xclient });
  }

  #fail(fault: FaultCode, detail: string): void {
    if (this.#stage === 'over') return;
    this.#over();
    this.#owner.onUnprepared(fault, detail);
  }

  #over(): void {
    this.#stage = 'over';
  }

  #where(): string {
    switch (this.#stage) {
      case 'hello':
        return 'where EHLO was to be answered';
      case 'starttls':
        return 'where STARTTLS was to be answered';
      case 'handshake':
        return 'within the TLS handshake';
      case 'greeting':
      case 'over':
        return 'before its greeting';
    }
  }
}

function shown({ code, lines }: WholeReply): string {
  return `"${printable(`${code} ${lines.join(' ')}`)}"`;
}
