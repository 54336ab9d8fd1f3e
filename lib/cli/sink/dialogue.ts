/**
 * What the sink says: one SMTP dialogue (RFC 5321; LMTP, RFC 2033) without a socket. Bytes go in, the
 * replies they earn come out, in one string, whatever the cuts between the chunks. Nothing of a message
 * is kept: a dialogue holds one partial command line and a few integers.
 */
import { createDotScanner } from './dot-scanner.ts';

/** Octets of a command line without its CRLF; above RFC 5321's 512 to leave room for DSN and SMTPUTF8. */
export const SINK_LINE_OCTETS = 2_048;
/** Recipients of one message (RFC 5321 section 4.5.3.1.8 asks for at least 100). */
export const SINK_RECIPIENTS = 10_000;

/** What all dialogues of a sink have taken so far. */
export interface SinkTally {
  /** Messages answered with 250. */
  messages: number;
  /** Recipients of these messages. */
  recipients: number;
  /** Octets of message content, dots and line ends as sent, finished messages or not. */
  octets: number;
}

/** One client's dialogue. */
export interface Dialogue {
  /** Takes the next bytes (not kept) and returns the replies to send, often none. Bytes after QUIT are ignored. */
  feed(chunk: Buffer): string;
  /** True after QUIT, or where the client and we no longer agree on what is a command: close after the reply. */
  readonly finished: boolean;
}

const LF = 10;
const CR = 13;
const CAPABILITIES = [
  'PIPELINING',
  'SIZE 0',
  '8BITMIME',
  'ENHANCEDSTATUSCODES',
  'CHUNKING',
  'DSN',
  'SMTPUTF8',
];
/** Verbs that exist and that a sink does not speak: 502, where an unknown verb is 500 (RFC 5321 section 4.2.4). */
const NOT_SPOKEN = new Set([
  'STARTTLS',
  'AUTH',
  'EXPN',
  'ETRN',
  'TURN',
  'SEND',
  'SOML',
  'SAML',
  'BURL',
  'XCLIENT',
]);

const BAD_ORDER = '503 5.5.1 Bad sequence of commands\r\n';
const BAD_SYNTAX = '501 5.5.4 Syntax error in parameters\r\n';
const TAKEN = '250 2.0.0 Accepted and forgotten\r\n';

/** The greeting that opens a dialogue. */
export function sinkGreeting(hostName: string): string {
  return `220 ${hostName} ESMTP smtplb sink\r\n`;
}

/** RFC 5321 section 4.1.1.1: the host name, then a capability a line. */
function ehloReply(hostName: string): string {
  const last = CAPABILITIES.length;
  return [hostName, ...CAPABILITIES].map((line, at) => `250${at === last ? ' ' : '-'}${line}\r\n`).join('');
}

/** A dialogue that has just sent its greeting. It adds to `tally`, which many dialogues share. */
export function createDialogue(hostName: string, tally: SinkTally): Dialogue {
  let mode: 'command' | 'data' | 'chunk' = 'command';
  let held = '';
  let overlong = false;
  let lmtp = false;
  let hasSender = false;
  let recipients = 0;
  let chunked = false;
  let chunkOctets = 0;
  let chunkReply = '';
  let finished = false;
  const dots = createDotScanner();

  function reset(): void {
    hasSender = false;
    recipients = 0;
    chunked = false;
  }

  /** RFC 2033 section 4.2: LMTP answers once for each recipient. */
  function takeMessage(): string {
    const reply = lmtp ? TAKEN.repeat(recipients) : TAKEN;
    tally.messages++;
    tally.recipients += recipients;
    reset();
    return reply;
  }

  function hello(rest: string, verb: string): string {
    if (rest === '') return BAD_SYNTAX;
    reset();
    lmtp = verb === 'LHLO';
    return verb === 'HELO' ? `250 ${hostName}\r\n` : ehloReply(hostName);
  }

  function mail(rest: string): string {
    if (hasSender) return BAD_ORDER;
    if (!/^FROM: ?<.*>/i.test(rest)) return BAD_SYNTAX;
    hasSender = true;
    return '250 2.1.0 Sender ok\r\n';
  }

  function recipient(rest: string): string {
    if (!hasSender || chunked) return BAD_ORDER;
    if (!/^TO: ?<.+>/i.test(rest)) return BAD_SYNTAX;
    if (recipients === SINK_RECIPIENTS) return '452 4.5.3 Too many recipients\r\n';
    recipients++;
    return '250 2.1.5 Recipient ok\r\n';
  }

  function data(rest: string): string {
    if (rest !== '') return BAD_SYNTAX;
    if (recipients === 0 || chunked) return BAD_ORDER;
    mode = 'data';
    dots.restart();
    return '354 End with a dot on a line of its own\r\n';
  }

  /** RFC 3030 section 2: the octets follow at once, and are there even where the answer is a refusal. */
  function bdat(rest: string): string {
    const match = /^(\d{1,15})( +LAST)?$/i.exec(rest);
    if (match === null) {
      finished = true; // where the next command begins is anyone's guess now
      return BAD_SYNTAX;
    }
    const allowed = recipients > 0;
    const last = match[2] !== undefined;
    chunkOctets = Number(match[1]);
    chunked = allowed;
    chunkReply = allowed ? (last ? '' : '250 2.0.0 Chunk ok\r\n') : BAD_ORDER;
    mode = 'chunk';
    return chunkOctets === 0 ? endChunk() : '';
  }

  function endChunk(): string {
    mode = 'command';
    return chunkReply === '' ? takeMessage() : chunkReply;
  }

  function command(line: string): string {
    const at = line.indexOf(' ');
    const verb = (at < 0 ? line : line.slice(0, at)).toUpperCase();
    const rest = at < 0 ? '' : line.slice(at + 1).trim();
    switch (verb) {
      case 'EHLO':
      case 'HELO':
      case 'LHLO':
        return hello(rest, verb);
      case 'MAIL':
        return mail(rest);
      case 'RCPT':
        return recipient(rest);
      case 'DATA':
        return data(rest);
      case 'BDAT':
        return bdat(rest);
      case 'RSET':
        reset();
        return '250 2.0.0 Ok\r\n';
      case 'NOOP':
        return '250 2.0.0 Ok\r\n';
      case 'VRFY':
        return '252 2.5.0 Send some mail and see\r\n';
      case 'HELP':
        return '214 2.0.0 EHLO HELO LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT\r\n';
      case 'QUIT':
        finished = true;
        return `221 2.0.0 ${hostName} closing\r\n`;
      default:
        return NOT_SPOKEN.has(verb)
          ? '502 5.5.1 Command not implemented\r\n'
          : '500 5.5.2 Command not recognized\r\n';
    }
  }

  function endLine(line: string): string {
    held = '';
    if (!overlong) return command(line);
    overlong = false;
    return '500 5.5.2 Line too long\r\n';
  }

  /** Octets of the next command line, or all that is there of it; only CRLF ends a line. */
  function takeLine(chunk: Buffer, from: number): { next: number; reply: string } {
    if (chunk[from] === LF && held.endsWith('\r')) {
      return { next: from + 1, reply: endLine(held.slice(0, -1)) };
    }
    const at = chunk.indexOf('\r\n', from, 'latin1');
    const end = at < 0 ? chunk.length : at;
    const length = held.length + end - from;
    // A CR that may yet be half of the line's end is not counted against the line.
    if (length - (at < 0 && chunk[end - 1] === CR ? 1 : 0) > SINK_LINE_OCTETS) overlong = true;
    if (overlong) held = end > from ? (chunk[end - 1] === CR ? '\r' : '') : held;
    else held += chunk.toString('latin1', from, end);
    return at < 0 ? { next: end, reply: '' } : { next: at + 2, reply: endLine(held) };
  }

  function takeData(chunk: Buffer, from: number): { next: number; reply: string } {
    const end = dots.scan(chunk, from);
    const next = end < 0 ? chunk.length : end;
    tally.octets += next - from;
    if (end < 0) return { next, reply: '' };
    mode = 'command';
    return { next, reply: takeMessage() };
  }

  function takeChunk(chunk: Buffer, from: number): { next: number; reply: string } {
    const octets = Math.min(chunkOctets, chunk.length - from);
    chunkOctets -= octets;
    tally.octets += octets;
    return { next: from + octets, reply: chunkOctets === 0 ? endChunk() : '' };
  }

  return {
    get finished() {
      return finished;
    },
    feed(chunk) {
      let replies = '';
      let from = 0;
      while (from < chunk.length && !finished) {
        const take = mode === 'command' ? takeLine : mode === 'data' ? takeData : takeChunk;
        const { next, reply } = take(chunk, from);
        replies += reply;
        from = next;
      }
      return replies;
    },
  };
}
