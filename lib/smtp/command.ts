import { COMMAND_LINE_OCTETS, HELLO_NAME_OCTETS } from '../core/limits.ts';
import { keywordTable, narrow, settle } from './keyword.ts';
import { CR, LF, NUL, SPACE, TAB, TLS_HANDSHAKE } from './octets.ts';

/** The commands with which a client introduces itself: RFC 5321 section 4.1.1.1, and RFC 2033 section 4.1. */
export type HelloVerb = 'EHLO' | 'HELO' | 'LHLO';

/**
 * What the client's bytes have come to:
 * - `more`: within a line;
 * - `hello`, `starttls`: such a line has just ended;
 * - `foreign`: another protocol's first words; nothing of it should reach a mail server;
 * - anything else: why the commands can be followed no longer, and the reader reads no further.
 */
export type CommandEvent = 'more' | 'hello' | 'starttls' | 'foreign' | CommandLoss;

/**
 * Why a client's commands can be followed no longer: `other-command` (the usual way out: MAIL, AUTH, QUIT ...),
 * `starttls-arguments`, `command-malformed` (NUL, a CR or a LF alone), `command-oversize`.
 */
export type CommandLoss = 'other-command' | 'starttls-arguments' | 'command-malformed' | 'command-oversize';

const HELLO_VERBS = ['EHLO', 'HELO', 'LHLO'] as const;
/** What a browser can be made to send to a mail port (the ALPACA attack), and HTTP/2's preface. */
const FOREIGN_VERBS = ['CONNECT', 'GET', 'POST', 'PUT', 'HEAD', 'OPTIONS', 'DELETE', 'PATCH', 'PRI'] as const;
const VERBS = keywordTable([...HELLO_VERBS, 'STARTTLS', ...FOREIGN_VERBS]);
const STARTTLS = 1 << HELLO_VERBS.length;
/** The verbs below and including STARTTLS: the protocol's own. */
const OWN = (STARTTLS << 1) - 1;

/**
 * Reads hello and STARTTLS lines out of chunks cut anywhere, and stops at the first octet that makes it neither.
 * Verbs are taken in any case and end at a blank or at the line's end.
 *
 * Blanks behind STARTTLS do not count: RFC 5321 section 4.1.1 wants receivers to tolerate them before CRLF, and
 * Postfix and Exim switch to TLS on such a line, so whoever reads along must see it too. STARTTLS with an argument
 * is answered 501 (RFC 3207 section 4) and is no boundary.
 *
 * A LF or CR alone never ends a line. Some servers take it for an end, so what such bytes mean depends on the
 * server; the reader does not guess and stops.
 */
export class CommandReader {
  event: CommandEvent = 'more';
  /** The verb of the last whole hello line. */
  hello: HelloVerb | null = null;

  private stage: 'verb' | 'name' | 'blanks' | 'cr' = 'verb';
  private first = true;
  private octets = 0;
  private position = 0;
  private candidates = VERBS.all;
  private verb = 0;
  /** Taken when the first hello comes: many sessions end before. */
  private name: Buffer | null = null;
  private nameOctets = 0;
  /** Set while a later hello overwrites the name of an earlier one. */
  private earlierName: string | null = null;

  /**
   * Reads from `bytes[from]` to the end of a line, to what cannot be followed, or to the end of the chunk, and
   * returns the offset behind what it read. Look at `event` after each call. After `hello` and `starttls` it goes
   * on with the next line; after anything else but `more` it reads nothing.
   */
  read(bytes: Uint8Array, from: number): number {
    if (this.event === 'hello' || this.event === 'starttls') this.beginLine();
    else if (this.event !== 'more') return from;
    const end = Math.min(bytes.length, from + COMMAND_LINE_OCTETS - this.octets);
    let at = from;
    while (at < end) {
      const event = this.step(bytes[at++] ?? 0);
      if (event !== 'more') {
        this.event = event;
        return at;
      }
    }
    this.octets += at - from;
    if (this.octets >= COMMAND_LINE_OCTETS) this.event = 'command-oversize';
    return at;
  }

  /**
   * The argument of the last whole hello line without the blanks around it, at most HELLO_NAME_OCTETS of it, one
   * character an octet; '' if there is none. It is the client's word: escape it before it is shown.
   */
  helloName(): string {
    if (this.earlierName !== null) return this.earlierName;
    if (this.hello === null || this.name === null) return '';
    return this.name.toString('latin1', 0, this.nameOctets).replace(/[ \t]+$/, '');
  }

  private step(octet: number): CommandEvent {
    if (this.stage === 'cr') return octet === LF ? this.endLine() : 'command-malformed';
    if (octet === LF || octet === NUL) return 'command-malformed';
    if (this.stage === 'verb') return this.verbOctet(octet);
    if (octet === CR) this.stage = 'cr';
    else if (this.stage === 'name') this.nameOctet(octet);
    else if (octet !== SPACE && octet !== TAB) return 'starttls-arguments';
    return 'more';
  }

  private verbOctet(octet: number): CommandEvent {
    if (octet === SPACE || octet === TAB || octet === CR) return this.endVerb(octet);
    if (octet === TLS_HANDSHAKE && this.first && this.position === 0) return 'foreign';
    this.candidates = narrow(VERBS, this.candidates, this.position, octet);
    this.position++;
    return this.candidates === 0 ? 'other-command' : 'more';
  }

  private endVerb(octet: number): CommandEvent {
    this.verb = settle(VERBS, this.candidates, this.position);
    if (this.verb === 0) return 'other-command';
    if ((this.verb & OWN) === 0) return octet === SPACE ? 'foreign' : 'other-command';
    if (octet === CR) this.stage = 'cr';
    else this.stage = this.verb === STARTTLS ? 'blanks' : 'name';
    if (this.verb !== STARTTLS) {
      if (this.hello !== null) this.earlierName = this.helloName();
      this.nameOctets = 0;
    }
    return 'more';
  }

  private nameOctet(octet: number): void {
    if (this.nameOctets === 0 && (octet === SPACE || octet === TAB)) return;
    if (this.nameOctets === HELLO_NAME_OCTETS) return;
    this.name ??= Buffer.allocUnsafe(HELLO_NAME_OCTETS);
    this.name[this.nameOctets++] = octet;
  }

  private endLine(): CommandEvent {
    if (this.verb === STARTTLS) return 'starttls';
    this.hello = HELLO_VERBS[31 - Math.clz32(this.verb)] ?? null;
    this.earlierName = null;
    return 'hello';
  }

  private beginLine(): void {
    this.event = 'more';
    this.stage = 'verb';
    this.first = false;
    this.octets = 0;
    this.position = 0;
    this.candidates = OWN;
  }
}
