import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { ServerTlsSettings } from '../transport/tls-contract.ts';

const made = new WeakMap<ServerTlsSettings, SecureContext>();

/** What Node's TLS takes; made once for the same settings. Throws OpenSSL's reason where it cannot be made. */
export function secureContextOf(settings: ServerTlsSettings): SecureContext {
  const context = made.get(settings) ?? makeContext(settings);
  made.set(settings, context);
  return context;
}

function makeContext(settings: ServerTlsSettings): SecureContext {
  const { ciphers, clientAuthorities, minVersion, pairs, sessionIdContext, ticketKey } = settings;
  return createSecureContext({
    cert: pairs.map(({ cert }) => cert),
    key: pairs.map(({ key }) => key),
    minVersion: minVersion === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers,
    dhparam: 'auto',
    // Nobody needs it, and each costs a handshake that nobody counts (CVE-2011-1473).
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    sessionIdContext,
    ...(ticketKey !== null && { ticketKeys: Buffer.from(ticketKey) }),
    // Without: no authority at all is trusted, and no list of them is sent.
    ...(clientAuthorities !== null && { ca: clientAuthorities }),
  });
}
