import { HYPHEN, SPACE } from './octets.ts';
import { ReplyReader, type ReplyStatus } from './reply.ts';

export interface HelloRewriterOptions {
  /** Keywords that the client is not to see, such as `STARTTLS`; in any case. */
  readonly cut: readonly string[];
  /** Lines to be offered instead, behind the others: a keyword, perhaps with parameters. */
  readonly add: readonly string[];
}

/**
 * Rewrites replies to EHLO and LHLO (RFC 5321 section 4.1.1.1, RFC 2033 section 4.1) as they pass: some lines are cut,
 * some added, and all others stay as they are, octet for octet, but for the separator that says whether another line
 * follows. Replies with another code than 250, and what is no reply, are not touched.
 *
 * One line is held back, because only the next one tells whether it is the last: at most REPLY_LINE_OCTETS, and the
 * whole reply is bounded by REPLY_OCTETS. Output depends on the bytes only, never on how they were cut.
 */
export interface HelloRewriter {
  /** As `ReplyReader` has it: `end` once a reply is whole; after a fault nothing more is rewritten. */
  readonly status: ReplyStatus;
  /** The code of the reply, once its first line is whole. */
  readonly code: number;
  /** Mask of the known keywords the backend has offered, before anything was cut; see capabilities.ts. */
  readonly capabilities: number;
  /**
   * Reads from `bytes[from]` to the end of the reply, to a fault or to the end of the chunk, and returns the offset
   * behind what it read. After `end` it begins the next reply. The view is not kept.
   */
  read(bytes: Uint8Array, from: number): number;
  /** What is to be passed on by now; it is empty while a line is held back. */
  take(): Uint8Array;
}

export function createHelloRewriter(options: HelloRewriterOptions): HelloRewriter {
  return new Rewriter(options);
}

const HEAD_OCTETS = 4;
const SEPARATOR = 3;
const NOTHING = new Uint8Array(0);

class Rewriter implements HelloRewriter {
  private readonly reply = new ReplyReader();
  private readonly hidden: ReadonlySet<string>;
  private readonly added: readonly Uint8Array[];
  /** Of the line that is being read. */
  private line: Uint8Array = NOTHING;
  /** The last whole line that is passed on, while nobody knows what follows it. */
  private held: Uint8Array | null = null;
  private firstLine = true;
  private output: Uint8Array[] = [];

  constructor({ cut, add }: HelloRewriterOptions) {
    // What is added is not to stand there twice.
    this.hidden = new Set(
      [...cut, ...add.map(line => line.split(' ')[0] ?? '')].map(word => word.toUpperCase()),
    );
    this.added = add.map(line => Buffer.from(`250-${line}\r\n`, 'latin1'));
  }

  get status(): ReplyStatus {
    return this.reply.status;
  }

  get code(): number {
    return this.reply.code;
  }

  get capabilities(): number {
    return this.reply.capabilities;
  }

  read(bytes: Uint8Array, from: number): number {
    let at = from;
    while (at < bytes.length) {
      const start = at;
      at = this.reply.read(bytes, at);
      this.line = joined(this.line, bytes.subarray(start, at));
      const { status } = this.reply;
      if (status === 'more') continue;
      if (status !== 'line' && status !== 'end') {
        this.untouched();
        return at;
      }
      this.endLine(status === 'end');
      if (status === 'end') return at;
    }
    return at;
  }

  take(): Uint8Array {
    const { output } = this;
    this.output = [];
    return output.length === 1 ? (output[0] as Uint8Array) : Buffer.concat(output);
  }

  private endLine(last: boolean): void {
    const { line } = this;
    this.line = NOTHING;
    const rewritten = this.reply.code === 250;
    if (!rewritten) this.output.push(line);
    else if (this.firstLine || !this.hidden.has(keywordOf(line))) this.pass(line);
    this.firstLine = last;
    if (!last || !rewritten) return;
    for (const added of this.added) this.pass(Uint8Array.from(added));
    if (this.held !== null) this.output.push(separated(this.held, SPACE));
    this.held = null;
  }

  /** A line that the client sees: the one before it is not the last. */
  private pass(line: Uint8Array): void {
    if (this.held !== null) this.output.push(separated(this.held, HYPHEN));
    this.held = line;
  }

  private untouched(): void {
    if (this.held !== null) this.output.push(this.held);
    this.output.push(this.line);
    this.held = null;
    this.line = NOTHING;
  }
}

/** The line with this separator; `250` without text, which has none, gets one where another line follows. */
function separated(line: Uint8Array, separator: number): Uint8Array {
  if (line.length > HEAD_OCTETS + 1) {
    line[SEPARATOR] = separator;
    return line;
  }
  return separator === SPACE ? line : Buffer.from('250-\r\n', 'latin1');
}

/** The word that a line of capabilities begins with; `AUTH=PLAIN`, from before RFC 4954, begins with AUTH. */
function keywordOf(line: Uint8Array): string {
  const text = Buffer.from(line.buffer, line.byteOffset, line.length).toString('latin1', HEAD_OCTETS);
  return (/^[^ =\t\r]*/.exec(text)?.[0] ?? '').toUpperCase();
}

/** Always a copy: the bytes are a view. */
function joined(before: Uint8Array, bytes: Uint8Array): Uint8Array {
  return before.length === 0 ? Uint8Array.from(bytes) : Buffer.concat([before, bytes]);
}
