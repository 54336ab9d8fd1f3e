import type { FaultCode } from '../core/fault.ts';
import type { BackendColumn } from '../core/shard-stats.ts';
import { printable } from '../core/text.ts';
import { ReplyCollector, type WholeReply } from '../smtp/reply-collector.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';
import { type XclientEnds, xclientCommand } from '../xclient/xclient.ts';

export interface IntroductionOwner {
  /** The backend knows the client; `greeting` is what came of the greeting that the client is to see. */
  onIntroduced(greeting: Uint8Array): void;
  /** This backend will not do. `detail` is safe to show. */
  onUnprepared(fault: FaultCode, detail: string): void;
  /** Something to count for the backend. */
  count(column: BackendColumn): void;
}

/** Replies to XCLIENT that are greetings for the client: 220, or the backend's policy about it. */
const GREETINGS: readonly number[] = [220, 421, 450, 554];
const WHERE = 'where XCLIENT was to be answered';

/**
 * Tells a backend who the client is, once a client is known, and waits for the second greeting (XCLIENT_README), which is
 * the one that the client sees. The owner holds the deadline.
 */
export class XclientIntroduction implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #owner: IntroductionOwner;
  readonly #replies = new ReplyCollector();
  #over = false;

  constructor(connection: Connection, owner: IntroductionOwner) {
    this.#connection = connection;
    this.#owner = owner;
  }

  /** The backend has offered these attributes, ADDR among them, in its last reply. */
  begin(offered: ReadonlySet<string>, ends: XclientEnds): void {
    this.#connection.handler = this;
    this.#connection.write(Buffer.from(`${xclientCommand(offered, ends)}\r\n`, 'latin1'));
  }

  timedOut(): void {
    this.#fail('greeting-timeout', `the backend said nothing in time ${WHERE}`);
  }

  onConnect(): void {}

  onBytes(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#over; ) {
      at = this.#replies.read(bytes, at);
      const { status } = this.#replies;
      if (status === 'end') return this.#answered(this.#replies.reply(), bytes.subarray(at));
      if (status !== 'more' && status !== 'line') return this.#nonsense(status);
    }
  }

  onEnd(): void {
    this.#fail('closed-early', `the backend closed the connection ${WHERE}`);
  }

  onDrain(): void {}

  onClose(reason: CloseReason): void {
    if (reason === 'reset') this.#fail('reset-early', `the backend reset the connection ${WHERE}`);
    else this.#fail('closed-early', `the backend closed the connection ${WHERE}`);
  }

  #answered({ code, lines, raw }: WholeReply, rest: Uint8Array): void {
    if (!GREETINGS.includes(code)) {
      this.#owner.count('xclient/refused');
      const shown = printable(`${code} ${lines.join(' ')}`);
      return this.#fail('xclient-refused', `answered XCLIENT with "${shown}"`);
    }
    this.#over = true;
    this.#owner.count('xclient/sent');
    this.#owner.onIntroduced(Buffer.concat([raw, rest]));
  }

  #nonsense(status: string): void {
    const text = printable(Buffer.from(this.#replies.raw).toString('latin1'));
    this.#fail('bad-greeting', `sent "${text}" ${WHERE} (${status})`);
  }

  #fail(fault: FaultCode, detail: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.onUnprepared(fault, detail);
  }
}
