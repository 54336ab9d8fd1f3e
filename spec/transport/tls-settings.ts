/** TLS with clients as the transports' tests set it, unless they say otherwise. */
import { INTERMEDIATE_CIPHERS } from '../../lib/tls/listener-tls.ts';
import type { ServerTlsSettings, TlsServerOptions } from '../../lib/transport/tls-contract.ts';

export function serverSettings(
  pairs: ServerTlsSettings['pairs'],
  others: Partial<ServerTlsSettings> = {},
): ServerTlsSettings {
  return {
    pairs,
    minVersion: '1.2',
    ciphers: INTERMEDIATE_CIPHERS,
    clientAuthorities: null,
    sessionIdContext: 'test',
    ticketKey: null,
    ...others,
  };
}

/** Always these, whatever name a client asks for; no certificate of clients is wanted. */
export function serverOptions(settings: ServerTlsSettings): TlsServerOptions {
  return { role: 'server', settingsFor: () => settings, clientCertificates: 'ignored' };
}
