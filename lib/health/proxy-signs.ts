/**
 * How a backend looks that disagrees with the pool about PROXY headers. What can be told apart, as tried with
 * Postfix 3.7, HAProxy 2.6 and smtp-sink:
 *
 * - It expects none and gets one: it reads the header as commands. smtpd greets and then answers more often than it is
 *   asked (`500`, and `221` to the QUIT that version 2 hides in its signature); with pipelining forbidden it greets
 *   with `554 5.5.0`, and postscreen breaks its greeting off with `521 5.5.1`. These are certain, and named.
 * - It expects one and gets none: HAProxy closes after its timeout without a word, smtpd and postscreen say `421 4.3.0`
 *   or `421 4.3.2` after five seconds. A backend in trouble looks the same, so the sentence can only say what to check.
 * - It expects one but not this one (another version, or not from this address): it closes, or says the same 421.
 */
import type { Reply } from './conversation.ts';
import type { CheckedBackend } from './options.ts';

type Identity = CheckedBackend['identity'];

/** Whether a refusal in place of a greeting is about what we sent before it: nothing but the header. */
export function isAboutHeader({ code, text }: Reply): boolean {
  return (code >= 500 && code <= 503) || (code >= 500 && /^\d{3} 5\.5\.\d/.test(text));
}

/**
 * Whether the replies that followed a refusal of EHLO are more, or others, than NOOP and QUIT explain: then the first
 * ones answered the header. A complaint that commands came too early proves it as well, since each of ours waits.
 */
export function isOutOfStep(replies: readonly Reply[]): boolean {
  return replies[0]?.code === 221 || replies.length > 2 || replies.some(isOfHaste);
}

/** Postfix: `554 5.5.0 Error: SMTP protocol synchronization`; Exim: `554 SMTP synchronization error`. */
function isOfHaste({ code, text }: Reply): boolean {
  return code === 554 && /synchronization/i.test(text);
}

/** What else silence, a close or a reset before the greeting can mean. */
export function silenceHint(identity: Identity): string {
  return identity === 'none'
    ? '; a backend that expects a PROXY header, or TLS from the start, does that too: compare the identity of the pool'
    : '; a backend that takes no PROXY header from this address, or only the other version, does that too';
}

/** What else a refusal in place of the greeting can mean; empty where nothing points to the header. */
export function refusalHint(identity: Identity, { code, text }: Reply): string {
  if (code !== 421 || !/^421 4\.3\.[02]/.test(text)) return '';
  return identity === 'none'
    ? '; Postfix says that too where it expects a PROXY header and gets none: compare the identity of the pool'
    : '; Postfix says that too where it cannot read the PROXY header';
}

/** Why, and what to do. */
export function misunderstood(identity: Identity, text: string): string {
  return (
    `PROXY header not understood: the backend took it for commands and said "${text}"; ` +
    `let it expect the header (Postfix: smtpd_upstream_proxy_protocol or postscreen_upstream_proxy_protocol), ` +
    `or set identity: none instead of ${identity}`
  );
}
