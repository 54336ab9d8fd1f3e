/**
 * What can go wrong with one connection to a backend, as values. A fault says whose it is, whether another backend
 * may be tried (only ever before the choice is committed), and whether it counts against the backend.
 */
export interface Fault {
  readonly source: 'backend' | 'internal';
  readonly retryable: boolean;
  /** Whether passive health counts it: a fault of our own machine says nothing about the backend. */
  readonly blamesBackend: boolean;
}

const backend = { source: 'backend', retryable: true, blamesBackend: true } as const;
const ours = { source: 'internal', retryable: true, blamesBackend: false } as const;

/** Every way in which a backend fails to become a session's backend. The keys are metric label values. */
export const FAULTS = {
  /** It answered the SYN with RST: nothing listens there. */
  refused: backend,
  /** No route, host or network down, or an ICMP error came back. */
  unreachable: backend,
  /** `connect.timeout` passed without an answer to the SYN. */
  'connect-timeout': backend,
  /** Connected, then no greeting that could be passed on within `connect.greetingTimeout`. */
  'greeting-timeout': backend,
  /** Connected, then closed before a whole greeting line, or before it was prepared. */
  'closed-early': backend,
  /** Connected, then reset before a whole greeting line, or before it was prepared. */
  'reset-early': backend,
  /** What it sent is no SMTP greeting, or no reply to what it was asked before the session (RFC 5321 section 4.2). */
  'bad-greeting': backend,
  /** The TLS handshake failed, or the certificate is not the one that `tls` asks for. */
  'tls-failed': backend,
  /** STARTTLS was not offered, or not answered with 220, where `tls.mode` asks for it. */
  'starttls-refused': backend,
  /** Plaintext behind the 220 to STARTTLS (CVE-2021-38371): somebody in between, or a broken server. */
  'starttls-injection': backend,
  /** XCLIENT is not offered where `xclient.required` asks for it. */
  'xclient-missing': backend,
  /** XCLIENT was offered and then refused: the backend does not trust this address, or not these attributes. */
  'xclient-refused': backend,
  /** A 4xx or 5xx greeting that `connect.retryOnGreeting` names; may be about the client, so nobody's fault. */
  'busy-greeting': { source: 'backend', retryable: true, blamesBackend: false },
  /** No local port or address left for this backend (EADDRNOTAVAIL, EADDRINUSE). */
  'no-ports': ours,
  /** This process or machine has no descriptor left (EMFILE, ENFILE); another backend would not help. */
  'no-descriptors': { source: 'internal', retryable: false, blamesBackend: false },
  /** The client's address is to be seen, and it is of another family (IPv4, IPv6) than the backend's. */
  'other-family': ours,
  /** This process may not use the client's address (CAP_NET_ADMIN); another backend would not help. */
  'not-permitted': { source: 'internal', retryable: false, blamesBackend: false },
  /** Any other refusal of the operating system, such as a local firewall. */
  failed: ours,
} as const satisfies Record<string, Fault>;

export type FaultCode = keyof typeof FAULTS;

export const FAULT_CODES = Object.keys(FAULTS) as readonly FaultCode[];
