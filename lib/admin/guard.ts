import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** How a door is guarded. */
export interface GuardOptions {
  /** A Unix socket: whoever may open it may do everything; file permissions are its guard. */
  readonly trusted: boolean;
  /** What verbs need on TCP; null where none is configured, and then there are no verbs. */
  readonly token: string | null;
  /** Names by which this door may be called, beside IP addresses and `localhost`. */
  readonly hosts: readonly string[];
}

/** Why a call is turned away, as status and sentence; null where it may pass. */
export type Refusal = { readonly status: 401 | 403 | 421; readonly message: string } | null;

/**
 * A page of another site can make a browser call us under a name that it points here (DNS rebinding). Such a call has
 * that site's name in Host; an address or a name of ours has not.
 */
export function refuseHost(request: IncomingMessage, { trusted, hosts }: GuardOptions): Refusal {
  if (trusted) return null;
  const host = hostOf(request.headers.host ?? '');
  if (isIP(host) !== 0 || host === 'localhost' || hosts.some(name => name.toLowerCase() === host))
    return null;
  return {
    status: 421,
    message:
      'this name is not known here: call the admin listener by its address, or add the name to admin.hosts',
  };
}

/** Verbs need the token, and must not come from a page of another origin. */
export function refuseVerb(request: IncomingMessage, options: GuardOptions): Refusal {
  if (options.trusted) return null;
  const { origin, host, authorization } = request.headers;
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    return { status: 403, message: 'this call comes from a page of another origin' };
  }
  if (options.token === null) {
    return { status: 403, message: 'verbs need admin.token in the configuration, or the admin socket' };
  }
  const given = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
  if (given !== undefined && sameSecret(given, options.token)) return null;
  return {
    status: 401,
    message: 'the token is missing or wrong: send "Authorization: Bearer TOKEN" (admin.token)',
  };
}

/** `edge-1:8404` and `[::1]:8404` without their port and brackets, in lower case. */
function hostOf(header: string): string {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(header);
  return (match?.[1] ?? match?.[2] ?? '').toLowerCase();
}

/** Compares digests, so that neither length nor time tells anything of the secret. */
function sameSecret(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
