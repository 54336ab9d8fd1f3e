/**
 * Why and where a session ended: cause × phase, two letters that an operator can read in a log.
 * `docs/terminations.md` holds the table for readers; a test keeps both the same.
 */

/** Where a session is. `closing` and `closed` are ends, so no session ends "in" them. */
export const PHASES = {
  accepting: {
    letter: 'A',
    text: 'accepted; its PROXY header or TLS handshake is awaited, or it is being admitted',
  },
  routing: {
    letter: 'N',
    text: 'greeted by smtplb; STARTTLS and the name that chooses the pool are awaited',
  },
  selecting: { letter: 'Q', text: 'waiting in the queue for a backend with room' },
  connecting: {
    letter: 'C',
    text: 'dialling a backend and waiting for its greeting; nothing was sent to the client',
  },
  handshaking: { letter: 'H', text: 'greeting passed on; EHLO and STARTTLS are watched' },
  relaying: { letter: 'R', text: 'bytes are moved, unread' },
} as const;

export type Phase = keyof typeof PHASES;

/** Why a session ended. The keys are metric label values; letters are unique. */
export const CAUSES = {
  normal: { letter: '-', text: 'both sides closed in order' },
  'client-closed': { letter: 'c', text: 'the client left before it was served' },
  'client-reset': { letter: 'C', text: 'the client reset the connection, or vanished' },
  'client-timeout': {
    letter: 't',
    text: 'the client sent nothing, or no whole command, within timeouts.handshake',
  },
  'idle-timeout': { letter: 'i', text: 'no byte moved in either direction for timeouts.idle' },
  'proxy-header': {
    letter: 'X',
    text: 'the PROXY header that the listener expects was missing, malformed or late',
  },
  'foreign-protocol': { letter: 'P', text: 'the client spoke HTTP or TLS to an SMTP port' },
  'forged-identity': {
    letter: 'x',
    text: 'the client gave a command that is ours: XCLIENT, XFORWARD, or STARTTLS, to a backend that trusts us',
  },
  'tls-failed': { letter: 'S', text: 'the TLS handshake with the client failed, or was not done in time' },
  'tls-injection': {
    letter: 'J',
    text: 'the client sent plaintext behind STARTTLS, which must not be taken for what follows TLS',
  },
  'client-hello': {
    letter: 'h',
    text: 'where the name in TLS chooses the pool: what followed STARTTLS is no ClientHello, or too much came before it',
  },
  'backend-refused': {
    letter: 'r',
    text: 'the last backend tried refused the connection or was unreachable',
  },
  'backend-closed': {
    letter: 'b',
    text: 'the backend closed before its greeting, or within EHLO or STARTTLS',
  },
  'backend-reset': { letter: 'B', text: 'the backend reset the connection' },
  'backend-timeout': { letter: 'T', text: 'the backend did not answer in time' },
  'backend-protocol': {
    letter: 'G',
    text: 'the backend greeted with something that is not SMTP, or answered EHLO so',
  },
  'backend-tls': { letter: 'e', text: 'TLS with the last backend tried failed, or it refused STARTTLS' },
  'no-backend': { letter: 'N', text: 'no backend is up and ready: 421 4.3.2' },
  'queue-full': { letter: 'Q', text: 'all backends are full, and so is the queue: 421 4.3.2' },
  'queue-timeout': { letter: 'q', text: 'no backend had room within queue.timeout: 421 4.3.2' },
  denied: { letter: 'D', text: 'clients.allow or clients.deny forbids the client: 554 5.7.1' },
  'listener-limit': { letter: 'L', text: 'limits.connections is reached: 421 4.3.2' },
  'client-limit': { letter: 'l', text: 'limits.perClient.connections is reached: 421 4.7.0' },
  'client-rate': { letter: 'R', text: 'limits.perClient.rate is exceeded: 421 4.7.0' },
  descriptors: { letter: 'F', text: 'no file descriptor is left: 421 4.3.2' },
  'local-ports': {
    letter: 'p',
    text: 'no local port or address is left towards the last backend tried: 421 4.3.2',
  },
  shutdown: { letter: 'K', text: 'the instance is stopping: 421 4.3.2, or the end of drainTimeout' },
  maintenance: { letter: 'M', text: 'the operator ended the sessions of its backend (maint --end-sessions)' },
  internal: { letter: 'I', text: 'a fault of smtplb or its machine; the log has the error' },
} as const;

export type Cause = keyof typeof CAUSES;

export const CAUSE_NAMES = Object.keys(CAUSES) as readonly Cause[];
export const PHASE_NAMES = Object.keys(PHASES) as readonly Phase[];

/** The two letters of a termination, such as `-R` for a session that ran its course. */
export function terminationCode(cause: Cause, phase: Phase): string {
  return CAUSES[cause].letter + PHASES[phase].letter;
}
