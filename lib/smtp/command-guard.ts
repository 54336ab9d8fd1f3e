import { COMMAND_LINE_OCTETS, COMMAND_OCTETS_GUARDED, REPLIES_OWED } from '../core/limits.ts';
import { capabilityBit } from './capabilities.ts';
import { ForbiddenWords } from './forbidden-words.ts';
import { keywordTable, narrow, settle } from './keyword.ts';
import { CR, LF, NUL, SPACE, TAB } from './octets.ts';

/**
 * Keeps a client from speaking with our authority: where a backend takes our word for who the client is (XCLIENT), no
 * XCLIENT, XFORWARD or STARTTLS of the client's may stand where the backend reads a command, at any time of the session.
 *
 *                       DATA, AUTH, a verb it does not know
 *     command ─────────────────────────────────► waiting ── 354 ──► data ── CRLF.CRLF ──► command
 *        │  ▲                                    │   ▲ │
 *        │  └──────────── any other reply ───────┘   │ └─ 334 ──► answer ── line ──► waiting
 *        └── BDAT n, where CHUNKING is offered ──► chunk ── n octets ──► command
 *
 * Reading commands where the backend reads data does no harm but to a message that spells such a command at the beginning
 * of a line; reading data where the backend reads commands would let one through. So only what is certain ends the reading of
 * commands: a reply that only DATA or AUTH has (what follows them is held back until then), or the number of a chunk for a
 * backend that knows chunks. And where servers do not agree on what they see (a bare LF, which some take for the end of a
 * line, around a lone dot), both readings are guarded from then on: the words are forbidden wherever they stand.
 *
 * A few integers, and a queue of what replies are owed for: at most REPLIES_OWED, then it waits.
 */
export class CommandGuard {
  /** `waiting`: nothing more may go to the backend before a reply. `broken`: end the session. */
  state: 'command' | 'waiting' | 'data' | 'answer' | 'chunk' | 'broken' = 'command';
  readonly #words = new ForbiddenWords();
  readonly #owed: Owed[] = ['greeting'];
  /** Anything of what was said can be read in two ways: the words are looked for everywhere. */
  #doubtful = false;
  #chunking = false;
  #lmtp = false;
  /** Recipients accepted, which in LMTP have a reply each (RFC 2033 section 4.2), and those replies still to come. */
  #recipients = 0;
  #moreFinal = 0;

  /** Of the line that is being read. */
  #octets = 0;
  #candidates = VERBS.all;
  #verb = 0;
  #inVerb = true;
  #odd = false;
  #afterCr = false;
  #chunkLine = '';
  #chunkLeft = 0;
  /** In data: how far the end has come. */
  #end: DataEnd = 'line';

  /** What the next reply answers. */
  get answering(): Owed | null {
    return this.#moreFinal > 0 ? 'final' : (this.#owed[0] ?? null);
  }

  /** How many octets from `from` on may go to the backend. Look at `state` where that is less than there are. */
  read(bytes: Uint8Array, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      if (this.state === 'waiting' || this.state === 'broken') return at - from;
      const octet = bytes[at] as number;
      if (this.#doubtful && this.#words.contains(octet)) this.state = 'broken';
      else if (this.state === 'command') this.#command(octet);
      else if (this.state === 'data') this.#data(octet);
      else if (this.state === 'answer') this.#answer(octet);
      else if (--this.#chunkLeft === 0) this.#beginLine();
      if ((this.state as string) === 'broken') return at - from;
    }
    return bytes.length - from;
  }

  /** A whole reply of the backend: its code, and the capabilities it names. */
  replied(code: number, capabilities: number): void {
    if (this.state === 'broken') return;
    const owed = this.#pay();
    const opens = code === 354 || code === 334;
    if (owed === null) {
      // More replies than commands: what comes next may answer what was said before. 421 is the usual reason.
      this.#doubtful = true;
      if (opens) this.state = 'broken';
      return;
    }
    if (opens && owed !== 'pending') {
      this.state = 'broken';
      return;
    }
    const good = code >= 200 && code <= 299;
    if (owed === 'hello' && good) this.#chunking = (capabilities & CHUNKING) !== 0;
    if (owed === 'recipient' && good) this.#recipients++;
    if (owed === 'reset' || owed === 'hello') this.#recipients = 0;
    if (this.state !== 'waiting') return;
    if (owed === 'pending') this.#open(code);
    else if (this.#owed.length < REPLIES_OWED && !this.#owed.includes('pending')) this.#beginLine();
  }

  /** What DATA, AUTH or an unknown command was answered with. */
  #open(code: number): void {
    if (code === 354) {
      this.state = 'data';
      this.#end = 'line';
      this.#words.restart();
    } else if (code === 334) {
      this.state = 'answer';
      this.#octets = 0;
      this.#afterCr = false;
    } else this.#beginLine();
  }

  #pay(): Owed | null {
    if (this.#moreFinal > 0) {
      this.#moreFinal--;
      return 'final';
    }
    const owed = this.#owed.shift() ?? null;
    if (owed === 'final') {
      if (this.#lmtp) this.#moreFinal = Math.max(0, this.#recipients - 1);
      this.#recipients = 0;
    }
    return owed;
  }

  #command(octet: number): void {
    this.#octets++;
    const most = this.#verb === 0 ? COMMAND_OCTETS_GUARDED : COMMAND_OCTETS_GUARDED / 8;
    // NUL, a CR alone, a line without end: no client sends that, and servers do not agree on what it is.
    if (octet === NUL || (this.#afterCr && octet !== LF) || this.#octets > most) {
      this.state = 'broken';
      return;
    }
    // Blanks and quotes may stand before a command that is taken all the same, and a long line may be read as two.
    if ((this.#octets === 1 && !isLetter(octet)) || this.#octets > COMMAND_LINE_OCTETS) this.#odd = true;
    if (!this.#doubtful && this.#found(octet)) this.state = 'broken';
    else if (octet === LF) this.#endLine();
    else {
      this.#afterCr = octet === CR;
      if (this.#inVerb) this.#verbOctet(octet);
      if (this.#verb === BDAT && this.#chunkLine.length < LONGEST_CHUNK_LINE)
        this.#chunkLine += String.fromCharCode(octet);
    }
  }

  #found(octet: number): boolean {
    return this.#odd ? this.#words.contains(octet) : this.#words.follows(octet);
  }

  #verbOctet(octet: number): void {
    if (octet === SPACE || octet === TAB || octet === CR) {
      this.#inVerb = false;
      this.#verb = settle(VERBS, this.#candidates, this.#octets - 1);
    } else this.#candidates = narrow(VERBS, this.#candidates, this.#octets - 1, octet);
  }

  #endLine(): void {
    const plain = this.#afterCr && !this.#odd;
    const owed = plain ? OWED_FOR.get(this.#verb) : undefined;
    if (this.#verb === LHLO) this.#lmtp = true;
    const chunk = this.#verb === BDAT && plain ? this.#chunk() : null;
    if (chunk !== null) {
      this.#owed.push(chunk.last ? 'final' : 'other');
      this.#beginLine();
      if (chunk.octets > 0) {
        this.state = 'chunk';
        this.#chunkLeft = chunk.octets;
      }
    } else if (owed === undefined) {
      this.#owed.push('pending');
      this.state = 'waiting';
    } else {
      this.#owed.push(owed);
      if (this.#owed.length < REPLIES_OWED) this.#beginLine();
      else this.state = 'waiting';
    }
  }

  /** RFC 3030 section 2; a backend that does not offer it would read the chunk as commands. */
  #chunk(): { readonly octets: number; readonly last: boolean } | null {
    const match = this.#chunking ? /^ (\d{1,15})( LAST)?\r$/i.exec(this.#chunkLine) : null;
    return match === null ? null : { octets: Number(match[1]), last: match[2] !== undefined };
  }

  #data(octet: number): void {
    const next = afterDataOctet(this.#end, octet);
    if (next === 'doubt') {
      // Some servers have seen the end of the message here.
      this.#doubtful = true;
      this.#words.restart();
      this.#words.contains(octet); // which may be the first of one
      this.#end = octet === LF ? 'bare' : 'within';
    } else if (next === 'over') {
      this.#owed.push('final');
      this.#beginLine();
    } else this.#end = next;
  }

  /** A line of AUTH, which is no command whatever it spells (RFC 4954 section 4). */
  #answer(octet: number): void {
    this.#octets++;
    if (octet === NUL || (this.#afterCr && octet !== LF) || this.#octets > COMMAND_OCTETS_GUARDED) {
      this.state = 'broken';
    } else if (octet === LF) {
      this.#owed.push('pending');
      this.state = 'waiting';
    } else this.#afterCr = octet === CR;
  }

  #beginLine(): void {
    this.state = 'command';
    this.#octets = 0;
    this.#candidates = VERBS.all;
    this.#verb = 0;
    this.#inVerb = true;
    this.#odd = false;
    this.#afterCr = false;
    this.#chunkLine = '';
    if (!this.#doubtful) this.#words.restart();
  }
}

/** What a reply is owed for: `pending` may open data or an answer, `final` ends a message. */
export type Owed = 'greeting' | 'hello' | 'recipient' | 'reset' | 'other' | 'final' | 'pending';

/** Commands that change nothing of how the next octets are read, and what is to be known of their replies. */
const KNOWN = [
  'EHLO',
  'LHLO',
  'HELO',
  'MAIL',
  'RCPT',
  'RSET',
  'NOOP',
  'VRFY',
  'EXPN',
  'HELP',
  'ETRN',
  'QUIT',
  'BDAT',
] as const;
const VERBS = keywordTable(KNOWN);
const bitOf = (verb: (typeof KNOWN)[number]): number => 1 << KNOWN.indexOf(verb);
const LHLO = bitOf('LHLO');
const BDAT = bitOf('BDAT');
const CHUNKING = capabilityBit('CHUNKING');
const LONGEST_CHUNK_LINE = 32;

const OWED_FOR: ReadonlyMap<number, Owed> = new Map([
  ...KNOWN.filter(verb => verb !== 'BDAT').map(verb => [bitOf(verb), 'other'] as const),
  [bitOf('EHLO'), 'hello'],
  [LHLO, 'hello'],
  [bitOf('RCPT'), 'recipient'],
  [bitOf('MAIL'), 'reset'],
  [bitOf('RSET'), 'reset'],
  [bitOf('HELO'), 'reset'],
]);

/**
 * Where in the end of a message: `line` behind CRLF, `bare` behind a LF or CR alone, and then the dot and its CR. Only
 * CRLF.CRLF is the end for everybody (RFC 5321 section 4.1.1.4).
 */
type DataEnd = 'within' | 'cr' | 'line' | 'bare' | 'dot' | 'bareDot' | 'dotCr' | 'bareDotCr';

function afterDataOctet(end: DataEnd, octet: number): DataEnd | 'over' | 'doubt' {
  if (end === 'dotCr' && octet === LF) return 'over';
  if (end === 'dotCr' || end === 'bareDotCr') return 'doubt';
  if (end === 'dot' || end === 'bareDot') {
    if (octet === CR) return end === 'dot' ? 'dotCr' : 'bareDotCr';
    return octet === LF ? 'doubt' : 'within';
  }
  if (octet === LF) return end === 'cr' ? 'line' : 'bare';
  if (octet === CR) return 'cr';
  if (octet === DOT && end === 'line') return 'dot';
  return octet === DOT && (end === 'bare' || end === 'cr') ? 'bareDot' : 'within';
}

const DOT = 0x2e;

function isLetter(octet: number): boolean {
  const upper = octet & 0xdf;
  return upper >= 0x41 && upper <= 0x5a;
}
