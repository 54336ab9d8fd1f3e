import { argumentOf, verbOf } from '../smtp/command-line.ts';

/** What is done with a command of a client whose TLS ends here. */
export type EdgeVerdict =
  /** Answered here, in its turn. */
  | { readonly kind: 'local'; readonly reply: Uint8Array }
  /** Passed on; its reply is passed back as it is. */
  | { readonly kind: 'pass' }
  /** EHLO or LHLO: passed on, its reply rewritten. */
  | { readonly kind: 'hello' }
  /** HELO: passed on. */
  | { readonly kind: 'helo' }
  /** A STARTTLS that we take. */
  | { readonly kind: 'starttls' }
  /** Passed on, and all behind it with it: there is nothing left to look for. */
  | { readonly kind: 'relay' }
  /** Another protocol's words. */
  | { readonly kind: 'foreign' };

export interface EdgeState {
  /** TLS is in force. */
  readonly secured: boolean;
  /** Nothing but greetings and the like before STARTTLS. */
  readonly required: boolean;
  /**
   * TLS has just begun: what the client said before counts no more (RFC 3207 section 4.2), but the backend has heard it.
   * A hello makes it forget, so that comes first.
   */
  readonly helloFirst: boolean;
  readonly firstLine: boolean;
}

export const line = (text: string): Uint8Array => Buffer.from(`${text}\r\n`, 'latin1');

export const GO_AHEAD = line('220 2.0.0 Ready to start TLS');
export const BARE_OCTET = line('500 5.5.2 Error: a CR or LF alone, or a NUL, in a command');
export const LINE_TOO_LONG = line('500 5.5.2 Error: line too long');
export const TLS_REQUIRED = line('530 5.7.0 Must issue a STARTTLS command first');
const TLS_ACTIVE = line('503 5.5.1 Error: TLS already active');
export const NO_PARAMETERS = line('501 5.5.4 Syntax error: no parameters allowed');
const HELLO_FIRST = line('503 5.5.1 Error: send EHLO first');
const NOT_FOR_CLIENTS = line('550 5.7.0 Error: insufficient authorization');

const PASS: EdgeVerdict = { kind: 'pass' };
const local = (reply: Uint8Array): EdgeVerdict => ({ kind: 'local', reply });

/** Commands of one line and one reply, after which STARTTLS may still come. */
const FOLLOWED: ReadonlySet<string> = new Set(['NOOP', 'RSET', 'QUIT']);
/** See smtp/command.ts. */
const FOREIGN = /^(?:CONNECT|GET|POST|PUT|HEAD|OPTIONS|DELETE|PATCH|PRI)$/;

/** Another protocol's first line. */
export function isForeign(bytes: Uint8Array): boolean {
  return FOREIGN.test(verbOf(bytes)) && argumentOf(bytes) !== '';
}

/** Judges a whole, well-formed line. */
export function judge(
  bytes: Uint8Array,
  { secured, required, helloFirst, firstLine }: EdgeState,
): EdgeVerdict {
  const verb = verbOf(bytes);
  if (firstLine && isForeign(bytes)) return { kind: 'foreign' };
  if (verb === 'EHLO' || verb === 'LHLO') return { kind: 'hello' };
  if (verb === 'HELO') return { kind: 'helo' };
  if (verb === 'STARTTLS') {
    if (secured) return local(TLS_ACTIVE);
    return argumentOf(bytes) === '' ? { kind: 'starttls' } : local(NO_PARAMETERS);
  }
  // They would speak to the backend with our authority.
  if (verb === 'XCLIENT' || verb === 'XFORWARD') return local(NOT_FOR_CLIENTS);
  if (FOLLOWED.has(verb)) return PASS;
  if (required && !secured) return local(TLS_REQUIRED);
  if (helloFirst) return local(HELLO_FIRST);
  return { kind: 'relay' };
}

/** Octets that follow a BDAT line without waiting for a reply (RFC 3030 section 2): not commands, whoever refuses it. */
export function chunkOctets(bytes: Uint8Array): number {
  if (verbOf(bytes) !== 'BDAT') return 0;
  const [, digits] = /^(\d{1,15})(?: |$)/.exec(argumentOf(bytes)) ?? [];
  return digits === undefined ? 0 : Number(digits);
}
