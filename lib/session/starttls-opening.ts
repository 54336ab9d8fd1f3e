import type { FaultCode } from '../core/fault.ts';
import { printable } from '../core/text.ts';
import { capabilityBit } from '../smtp/capabilities.ts';
import { ReplyCollector, type WholeReply } from '../smtp/reply-collector.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';

export interface OpeningOwner {
  /** The backend awaits a ClientHello: the client's turn. Nothing that the backend said is for the client. */
  onOpened(): void;
  /** This backend will not do. `detail` is safe to show. */
  onUnprepared(fault: FaultCode, detail: string): void;
}

const STARTTLS = capabilityBit('STARTTLS');

/**
 * Brings a connection to a backend to where its client is already, who has said STARTTLS to us:
 *
 *     greeting ─► EHLO ─► STARTTLS ─► 220
 *
 * What the backend says on the way is checked and thrown away: the client has heard a greeting and a 220, and begins anew
 * within TLS (RFC 3207 section 4.2). So a greeting that refuses cannot be passed on, and is left for another backend.
 * Each reply must be the last thing the backend has said: what comes unasked might answer what is asked next, and behind
 * the 220 to STARTTLS it would stand in the client's TLS (CVE-2021-38371). The owner holds the deadline.
 */
export class StarttlsOpening implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #hostName: string;
  readonly #owner: OpeningOwner;
  readonly #replies = new ReplyCollector();
  #stage: 'greeting' | 'hello' | 'starttls' | 'over' = 'greeting';

  /** `hostName`: our name in EHLO. */
  constructor(connection: Connection, hostName: string, owner: OpeningOwner) {
    this.#connection = connection;
    this.#hostName = hostName;
    this.#owner = owner;
  }

  /** The connection is established, and a PROXY header written. */
  begin(): void {
    this.#connection.handler = this;
  }

  timedOut(): void {
    this.#fail('greeting-timeout', `nothing was heard in time ${this.#where()}`);
  }

  onConnect(): void {}

  onBytes(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.#stage !== 'over'; ) {
      at = this.#replies.read(bytes, at);
      const { status } = this.#replies;
      if (status === 'end') this.#settle(this.#replies.reply(), bytes.length - at);
      else if (status !== 'more' && status !== 'line') this.#nonsense(status);
    }
  }

  onEnd(): void {
    this.#fail('closed-early', `the backend closed the connection ${this.#where()}`);
  }

  onDrain(): void {}

  onClose(reason: CloseReason): void {
    if (reason === 'reset') this.#fail('reset-early', `the backend reset the connection ${this.#where()}`);
    else this.#fail('closed-early', `the backend closed the connection ${this.#where()}`);
  }

  /** `more`: octets that came behind the reply. */
  #settle(reply: WholeReply, more: number): void {
    if (this.#stage === 'starttls' && reply.code === 220) {
      if (more === 0) return this.#finish();
      return this.#fail('starttls-injection', 'the backend sent plaintext behind its 220 to STARTTLS');
    }
    if (this.#stage === 'greeting' && reply.code >= 400)
      return this.#fail('busy-greeting', `greeted with ${shown(reply)}`);
    if (this.#stage === 'greeting' && reply.code !== 220)
      return this.#fail('bad-greeting', `greeted with ${shown(reply)}`);
    if (more > 0) return this.#fail('bad-greeting', `said more than it was asked ${this.#where()}`);
    if (this.#stage === 'greeting') return this.#say('hello', `EHLO ${this.#hostName}`);
    if (this.#stage === 'hello') return this.#greeted(reply);
    this.#fail('starttls-refused', `answered STARTTLS with ${shown(reply)}`);
  }

  #greeted(reply: WholeReply): void {
    if (reply.code !== 250) {
      const fault = reply.code === 421 ? 'closed-early' : 'starttls-refused';
      return this.#fail(fault, `answered EHLO with ${shown(reply)}`);
    }
    if ((reply.capabilities & STARTTLS) === 0)
      return this.#fail('starttls-refused', 'does not offer STARTTLS');
    this.#say('starttls', 'STARTTLS');
  }

  #say(stage: 'hello' | 'starttls', line: string): void {
    this.#stage = stage;
    this.#connection.write(Buffer.from(`${line}\r\n`, 'latin1'));
  }

  #nonsense(status: string): void {
    const text = printable(Buffer.from(this.#replies.raw).toString('latin1'));
    this.#fail('bad-greeting', `sent "${text}" ${this.#where()} (${status})`);
  }

  #finish(): void {
    this.#stage = 'over';
    this.#owner.onOpened();
  }

  #fail(fault: FaultCode, detail: string): void {
    if (this.#stage === 'over') return;
    this.#stage = 'over';
    this.#owner.onUnprepared(fault, detail);
  }

  #where(): string {
    if (this.#stage === 'hello') return 'where EHLO was to be answered';
    if (this.#stage === 'starttls') return 'where STARTTLS was to be answered';
    return 'before its greeting was whole';
  }
}

function shown({ code, lines }: WholeReply): string {
  return `"${printable(`${code} ${lines.join(' ')}`)}"`;
}
