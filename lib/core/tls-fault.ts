/**
 * Why a TLS handshake failed, in few words, fit for a metric:
 * - `not-tls`: the peer sent something else; after STARTTLS, plaintext;
 * - `closed`: the peer closed the connection within the handshake;
 * - `version`, `cipher`: nothing that both sides speak;
 * - `certificate`: a certificate that was required is missing or not valid;
 * - `rejected`: the peer ended it with an alert, most often because it does not trust our certificate;
 * - `timeout`: not whole in time;
 * - `protocol`: anything else.
 */
export const TLS_FAULTS = [
  'not-tls',
  'closed',
  'version',
  'cipher',
  'certificate',
  'rejected',
  'timeout',
  'protocol',
] as const;

export type TlsFaultCode = (typeof TLS_FAULTS)[number];

/** What is spoken; older versions are not. */
export const TLS_VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;

export type TlsVersionName = (typeof TLS_VERSIONS)[number];
