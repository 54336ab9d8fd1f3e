import { capabilityBit } from './capabilities.ts';
import { type CommandLoss, CommandReader, type HelloVerb } from './command.ts';
import { type ReplyFault, ReplyReader } from './reply.ts';

/**
 * The handshake observer reads along while a session passes bytes between client and backend, until there is nothing
 * more to learn. It changes nothing and keeps nothing but a hello name.
 *
 *                    greeting                      EHLO, HELO, LHLO
 *     greeting ─────────────────────► command ─────────────────────► hello-reply
 *        │                            │  ▲  ▲                             │
 *        │ not a greeting    STARTTLS │  │  └─────────── reply ───────────┘
 *        ▼                            ▼  │ other reply
 *     refused ◄── foreign       starttls-reply ──── 220 ───► tls
 *                                                    any state ──── anything else ───► opaque
 *
 * The two directions are read apart. The client's side yields lines, the backend's side yields replies, and between
 * them stands only what the backend owes: its greeting, some replies to hello, a reply to STARTTLS, in this order.
 * So a client may speak before the greeting or send EHLO and STARTTLS together, and what is learnt depends on the
 * bytes of each direction, not on how they were cut or interleaved within a message. The phase names the first
 * thing owed.
 *
 * Client bytes that cannot be followed are a verdict on the client's side only: the replies owed to what came before
 * them are still read, then the phase turns opaque. `opaqueCause` is set at once. A byte behind STARTTLS before its
 * reply is such a byte, whether a TLS record or a smuggled command: RFC 3207 section 4 makes STARTTLS the last of a
 * group. The phase never becomes `tls` then, though the backend may accept.
 */
export type ObserverPhase =
  | 'greeting'
  | 'command'
  | 'hello-reply'
  | 'starttls-reply'
  | 'tls'
  | 'opaque'
  | 'refused';

/**
 * Why the session has to end. The client's fault: `foreign-protocol`. The backend's: `greeting-malformed` (NUL, bare
 * LF, a line that is no reply line or has another code), `greeting-oversize`.
 */
export type ObserverFault = 'foreign-protocol' | 'greeting-malformed' | 'greeting-oversize';

/**
 * Why the observer is opaque, or will be once the replies owed are read. The client's bytes: a CommandLoss, or
 * `behind-starttls` for bytes between a STARTTLS line and its reply. The backend's: `unasked-reply`,
 * `reply-malformed`, `reply-oversize`.
 */
export type OpaqueCause =
  | CommandLoss
  | 'behind-starttls'
  | 'unasked-reply'
  | 'reply-malformed'
  | 'reply-oversize';

export type StarttlsState = 'not-offered' | 'offered' | 'requested' | 'accepted' | 'refused';

export interface HandshakeObserver {
  /** `refused` means: end the session for `fault`, and pass on nothing of the chunk that brought it. */
  readonly phase: ObserverPhase;
  /** True in `tls` and `opaque`: nothing more can be learnt, both connections may go to the relay. */
  readonly done: boolean;
  /** Set in the phase `refused` and no other. */
  readonly fault: ObserverFault | null;
  readonly opaqueCause: OpaqueCause | null;
  /**
   * The greeting's code from the end of its first line on; 0 before. Where a backend greets with `220-` and refuses
   * within the greeting, as postscreen does (`220-`, a pause, `521`), the code of the refusal.
   */
  readonly greetingCode: number;
  /** The verb of the client's last whole hello line. */
  readonly hello: HelloVerb | null;
  /** Mask of what the last hello with a 250 reply was offered (see capabilities.ts); 0 before. */
  readonly capabilities: number;
  /** What became of STARTTLS. Once it is requested, later offers no longer change this. */
  readonly starttls: StarttlsState;
  /**
   * Offset in the chunk last given, behind the CRLF of a STARTTLS line (from the client) or of the 220 reply to it
   * (from the backend); -1 where that chunk ended neither. What lies behind it in the chunk came in plaintext and
   * must not be taken for what follows the TLS handshake.
   */
  readonly boundary: number;
  /** Bytes the backend sent, before they are passed on. The view is not kept. */
  fromBackend(bytes: Uint8Array): void;
  /**
   * Bytes the client sent, before they are passed on. The view is not kept. Another protocol's verb cut in pieces is
   * known at its last piece; the pieces before have then been passed on, less than one word and no line's end.
   */
  fromClient(bytes: Uint8Array): void;
  /** The name in that hello, at most HELLO_NAME_OCTETS characters, '' if none. Escape it before showing it. */
  helloName(): string;
}

/** An observer for one session, to be fed from the backend's greeting on. */
export function createHandshakeObserver(): HandshakeObserver {
  return new Observer();
}

/** Whether bytes that begin with a greeting's first line may be passed on: what is behind it is judged as by an observer. */
export function isGreeting(bytes: readonly Uint8Array[]): boolean {
  const observer = createHandshakeObserver();
  for (const piece of bytes) observer.fromBackend(piece);
  return observer.phase !== 'refused';
}

const OFFERS_STARTTLS = capabilityBit('STARTTLS');

class Observer implements HandshakeObserver {
  phase: ObserverPhase = 'greeting';
  fault: ObserverFault | null = null;
  opaqueCause: OpaqueCause | null = null;
  greetingCode = 0;
  capabilities = 0;
  starttls: StarttlsState = 'not-offered';
  boundary = -1;

  private readonly command = new CommandReader();
  private readonly reply = new ReplyReader();
  /** What the backend owes, in this order. */
  private greetingOwed = true;
  private hellosOwed = 0;
  private starttlsOwed = false;

  get done(): boolean {
    return this.phase === 'opaque' || this.phase === 'tls';
  }

  get hello(): HelloVerb | null {
    return this.command.hello;
  }

  helloName(): string {
    return this.command.helloName();
  }

  fromClient(bytes: Uint8Array): void {
    this.boundary = -1;
    for (let at = 0; at < bytes.length && this.opaqueCause === null && !this.ended(); ) {
      if (this.starttlsOwed) {
        this.lose('behind-starttls');
      } else {
        at = this.command.read(bytes, at);
        this.settleCommand(at);
      }
    }
  }

  fromBackend(bytes: Uint8Array): void {
    this.boundary = -1;
    for (let at = 0; at < bytes.length && !this.ended(); ) {
      if (this.phase === 'command') {
        // A backend that shuts down says 421 unasked (RFC 5321 section 3.8).
        this.lose('unasked-reply');
      } else {
        at = this.reply.read(bytes, at);
        this.settleReply(at);
      }
    }
  }

  private ended(): boolean {
    return this.phase === 'tls' || this.phase === 'opaque' || this.phase === 'refused';
  }

  private settleCommand(at: number): void {
    const event = this.command.event;
    switch (event) {
      case 'more':
        return;
      case 'hello':
        this.hellosOwed++;
        break;
      case 'starttls':
        this.starttlsOwed = true;
        this.starttls = 'requested';
        this.boundary = at;
        break;
      case 'foreign':
        this.refuse('foreign-protocol');
        return;
      default:
        this.opaqueCause = event;
    }
    this.phase = this.owed();
  }

  private settleReply(at: number): void {
    const status = this.reply.status;
    if (status === 'line' || status === 'end') {
      if (this.greetingOwed) this.greetingCode = this.reply.code;
      if (status === 'end') this.pay(this.reply.code, at);
    } else if (status !== 'more') {
      this.replyFault(status);
    }
  }

  /** A whole reply belongs to the first thing owed. */
  private pay(code: number, at: number): void {
    if (this.greetingOwed) this.greetingOwed = false;
    else if (this.hellosOwed > 0) {
      this.hellosOwed--;
      if (code === 250) this.learn(this.reply.capabilities);
    } else {
      this.starttlsOwed = false;
      this.starttls = code === 220 ? 'accepted' : 'refused';
      if (code === 220) {
        this.boundary = at;
        this.phase = this.opaqueCause === null ? 'tls' : 'opaque';
        return;
      }
    }
    this.phase = this.owed();
  }

  private learn(capabilities: number): void {
    this.capabilities = capabilities;
    if (this.starttls !== 'not-offered' && this.starttls !== 'offered') return;
    this.starttls = (capabilities & OFFERS_STARTTLS) === 0 ? 'not-offered' : 'offered';
  }

  private owed(): ObserverPhase {
    if (this.greetingOwed) return 'greeting';
    if (this.hellosOwed > 0) return 'hello-reply';
    if (this.starttlsOwed) return 'starttls-reply';
    return this.opaqueCause === null ? 'command' : 'opaque';
  }

  private replyFault(status: ReplyFault): void {
    const oversize = status === 'line-oversize' || status === 'reply-oversize';
    if (this.greetingOwed && this.reply.otherCode >= 400) {
      this.greetingOwed = false;
      this.greetingCode = this.reply.otherCode;
    }
    if (this.greetingOwed) {
      this.refuse(oversize ? 'greeting-oversize' : 'greeting-malformed');
      return;
    }
    // Which reply answers what can no longer be told; bytes are passed on all the same.
    this.opaqueCause ??= oversize ? 'reply-oversize' : 'reply-malformed';
    this.phase = 'opaque';
  }

  private lose(cause: OpaqueCause): void {
    this.opaqueCause = cause;
    this.phase = this.owed();
  }

  private refuse(fault: ObserverFault): void {
    this.fault = fault;
    this.phase = 'refused';
  }
}
