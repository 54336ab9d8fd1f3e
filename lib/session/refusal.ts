import type { Cause } from '../core/termination.ts';
import { refusal } from '../smtp/reply-text.ts';
import type { Connection } from '../transport/contract.ts';
import { alertFor, type ClientTls } from './client-tls.ts';
import type { ServerNameRouter } from './server-name-router.ts';

/** A reply of our own (RFC 5321 section 4.2, RFC 3463): spoken only where no backend has spoken before. */
interface Words {
  readonly code: 421 | 554;
  readonly enhanced: string;
  readonly text: string;
}

const TRY_LATER: Words = { code: 421, enhanced: '4.3.2', text: 'Service not available, try again later' };
const TOO_MANY: Words = {
  code: 421,
  enhanced: '4.7.0',
  text: 'Too many connections from your address, try again later',
};
const TOO_FAST: Words = {
  code: 421,
  enhanced: '4.7.0',
  text: 'Connecting too often from your address, try again later',
};
const DENIED: Words = { code: 554, enhanced: '5.7.1', text: 'Access denied' };
const STOPPING: Words = { code: 421, enhanced: '4.3.2', text: 'Service is shutting down, try again later' };
const TIMEOUT: Words = { code: 421, enhanced: '4.4.2', text: 'Timeout, closing connection' };

const TOO_MUCH_TALK: Words = { code: 421, enhanced: '4.7.0', text: 'Too many commands before STARTTLS' };

const WORDS: ReadonlyMap<Cause, Words> = new Map<Cause, Words>([
  ['denied', DENIED],
  ['client-limit', TOO_MANY],
  ['client-rate', TOO_FAST],
  ['shutdown', STOPPING],
  ['client-timeout', TIMEOUT],
  ['client-hello', TOO_MUCH_TALK],
]);

const lines = new Map<string, Uint8Array>();

/**
 * Says why the session of a client ends before it is served: in a line, in an alert where it awaits TLS, and not at all
 * within a TLS handshake of ours.
 */
export function sayLast(
  client: Connection,
  cause: Cause,
  hostName: string,
  tls: ClientTls | null,
  router: ServerNameRouter | null,
): void {
  if (tls?.securing === true) return;
  const word = router?.promised === true ? alertFor(cause) : tls?.alert(cause);
  client.write(word ?? refusalLine(cause, hostName));
}

/** The line a client hears when its session ends for `cause` before it has a backend. */
export function refusalLine(cause: Cause, hostName: string): Uint8Array {
  const key = `${cause} ${hostName}`;
  let line = lines.get(key);
  if (line === undefined) {
    const { code, enhanced, text } = WORDS.get(cause) ?? TRY_LATER;
    line = refusal(code, enhanced, hostName, text);
    lines.set(key, line);
  }
  return line;
}
