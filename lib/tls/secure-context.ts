import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { ClientTlsSettings, ServerTlsSettings } from '../transport/tls-contract.ts';

/** What Node's TLS takes, made once for the same settings. */
const servers = new WeakMap<ServerTlsSettings, SecureContext>();
const clients = new WeakMap<ClientTlsSettings, SecureContext>();

/** Throws OpenSSL's reason where it cannot be made. */
export function secureContextOf(settings: ServerTlsSettings): SecureContext {
  const context = servers.get(settings) ?? serverContext(settings);
  servers.set(settings, context);
  return context;
}

/** Throws what OpenSSL says of certificates or keys that are none, or do not fit each other. */
export function backendContext(settings: ClientTlsSettings): SecureContext {
  const context = clients.get(settings) ?? clientContext(settings);
  clients.set(settings, context);
  return context;
}

function clientContext({ ca, certificate, minVersion }: ClientTlsSettings): SecureContext {
  return createSecureContext({
    minVersion: `TLSv${minVersion}`,
    ...(ca !== null && { ca }),
    ...(certificate !== null && { cert: certificate.cert, key: certificate.key }),
  });
}

function serverContext(settings: ServerTlsSettings): SecureContext {
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
