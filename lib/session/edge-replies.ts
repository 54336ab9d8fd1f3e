import type { Cause } from '../core/termination.ts';
import { createHelloRewriter, type HelloRewriter } from '../smtp/hello-rewriter.ts';
import { ReplyReader, type ReplyStatus } from '../smtp/reply.ts';
import type { EdgeFacts } from './edge-facts.ts';

/** Keywords of a backend that a client whose TLS ends here is not to see. */
const HIDDEN = ['STARTTLS', 'XCLIENT', 'XFORWARD'] as const;

/** A reply of the backend that is to come, or one of ours that waits for those before it. */
type Owed = 'greeting' | 'pass' | 'helo' | 'hello' | Uint8Array;

/**
 * What a client is told, in the order of its commands: the backend's replies, those to EHLO rewritten, and ours between
 * them.
 */
export class EdgeReplies {
  /** Octets of the backend. */
  octets = 0;
  /** A hello has been answered with 250 since TLS began. */
  greetedAnew = false;
  readonly #facts: EdgeFacts;
  readonly #say: (bytes: Uint8Array) => void;
  readonly #owed: Owed[] = ['greeting'];
  readonly #reply = new ReplyReader();
  #rewriter: HelloRewriter;
  /** Our own STARTTLS stands in replies to EHLO. */
  #offering: boolean;

  /** `secured`: STARTTLS is not offered. */
  constructor(secured: boolean, facts: EdgeFacts, say: (bytes: Uint8Array) => void) {
    this.#facts = facts;
    this.#say = say;
    this.#rewriter = rewriterOf(secured);
    this.#offering = !secured;
  }

  /** Replies that are still to be given, ours included. */
  get owed(): number {
    return this.#owed.length;
  }

  /** Among what is owed is something that a relay would not do: the greeting, a reply to be rewritten, one of ours. */
  get mustRead(): boolean {
    return this.#owed.some(owed => owed !== 'pass' && owed !== 'helo');
  }

  /** TLS has begun: nothing is owed, and STARTTLS is offered no more. */
  secured(): void {
    this.#rewriter = rewriterOf(true);
    this.#offering = false;
    this.greetedAnew = false;
  }

  owe(reply: 'pass' | 'helo' | 'hello'): void {
    this.#owed.push(reply);
  }

  /** A reply of ours, in its turn. */
  answer(reply: Uint8Array): void {
    if (this.#owed.length === 0) this.#say(reply);
    else this.#owed.push(reply);
  }

  /** Bytes of the backend, passed on as far as they are understood; returns why it cannot go on, or null. */
  read(bytes: Uint8Array): Cause | null {
    this.octets += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      const [head] = this.#owed;
      if (head === undefined) {
        // A backend that shuts down says 421 unasked (RFC 5321 section 3.8): its last word.
        this.#say(bytes.subarray(at));
        return 'backend-closed';
      }
      const start = at;
      at = head === 'hello' ? this.#rewritten(bytes, at) : this.#reply.read(bytes, at);
      if (head !== 'hello') this.#say(bytes.subarray(start, at));
      const reader = head === 'hello' ? this.#rewriter : this.#reply;
      if (reader.status === 'end') this.#paid(reader.code);
      else if (isFault(reader.status)) return this.#faulty(head, bytes.subarray(at));
      else if (head === 'greeting' && reader.status === 'line') this.#facts.greetingCode = reader.code;
    }
    return null;
  }

  #rewritten(bytes: Uint8Array, from: number): number {
    const at = this.#rewriter.read(bytes, from);
    const out = this.#rewriter.take();
    if (out.length > 0) this.#say(out);
    return at;
  }

  #paid(code: number): void {
    const paid = this.#owed.shift();
    if (paid === 'greeting') this.#facts.greetingCode = code;
    else if (paid === 'hello' && code === 250) {
      this.#facts.capabilities = this.#rewriter.capabilities;
      if (this.#offering && this.#facts.starttls === 'not-offered') this.#facts.starttls = 'offered';
    }
    if ((paid === 'hello' || paid === 'helo') && code === 250) this.greetedAnew = true;
    for (let next = this.#owed[0]; typeof next === 'object'; next = this.#owed[0]) {
      this.#say(next);
      this.#owed.shift();
    }
  }

  /**
   * No reply, or none that can be told from the next. What came is passed on; nothing can be put in its place. A greeting
   * that turns into a refusal (postscreen: `220-`, a pause, `521`) is the backend's last word.
   */
  #faulty(head: Owed, rest: Uint8Array): Cause {
    this.#say(rest);
    const refused = head === 'greeting' && this.#reply.otherCode >= 400;
    if (refused) this.#facts.greetingCode = this.#reply.otherCode;
    return refused ? 'backend-closed' : 'backend-protocol';
  }
}

function rewriterOf(secured: boolean): HelloRewriter {
  return createHelloRewriter({ cut: HIDDEN, add: secured ? [] : ['STARTTLS'] });
}

function isFault(status: ReplyStatus): boolean {
  return status !== 'more' && status !== 'line' && status !== 'end';
}
