/** What one check can say of a backend, or of the machine that checks it. */
export interface OutcomeKind {
  /** Whether it counts towards `rise`. */
  readonly success: boolean;
  /** Whether it counts towards `fall`: a fault of our own machine says nothing about the backend. */
  readonly blamesBackend: boolean;
  /** A sentence for pages and documentation; what happened this time is in the result's `detail`. */
  readonly text: string;
}

const bad = (text: string): OutcomeKind => ({ success: false, blamesBackend: true, text });

/** Every outcome of a check. The keys are metric label values. */
export const OUTCOMES = {
  ok: { success: true, blamesBackend: false, text: 'The backend did all that the check asks for.' },
  refused: bad('Nothing listens at the address that is checked.'),
  unreachable: bad('There is no way to the host, or it is down.'),
  closed: bad('The backend closed the connection where it should have answered.'),
  reset: bad('The backend reset the connection.'),
  timeout: bad('The check was not over within check.timeout; the detail names the step that took too long.'),
  'not-smtp': bad('What answers is no SMTP server.'),
  busy: bad('The greeting was a 4xx reply: the backend takes no sessions now.'),
  rejecting: bad('The greeting was a 5xx reply: the backend takes no sessions from here.'),
  'bad-ehlo': bad('EHLO was not answered with 250.'),
  'no-starttls': bad('STARTTLS was not offered, or refused.'),
  'tls-failed': bad('The TLS handshake failed, or the certificate is not valid for the backend.'),
  'proxy-not-understood': bad(
    'The backend took the PROXY header for SMTP commands; it is not set up to expect one.',
  ),
  'mail-refused': bad('MAIL or RCPT was refused for the addresses of check.mail.'),
  failed: {
    success: false,
    blamesBackend: false,
    text: 'The check could not be made, by a fault on this side; it counts neither way.',
  },
} as const satisfies Record<string, OutcomeKind>;

export type Outcome = keyof typeof OUTCOMES;

export const OUTCOME_NAMES = Object.keys(OUTCOMES) as readonly Outcome[];

/** What a probe has to say as soon as it is sure. */
export interface Verdict {
  readonly outcome: Outcome;
  /** What was seen, as a sentence; what the backend said is in it, escaped and cut. */
  readonly detail: string;
  /** Whole days until the certificate expires, negative once it has; null where none was seen. */
  readonly certificateDaysLeft: number | null;
}

/** A verdict without a certificate. */
export function verdict(outcome: Outcome, detail: string): Verdict {
  return { outcome, detail, certificateDaysLeft: null };
}
