import type { TlsFaultCode } from '../core/tls-fault.ts';
import type { TlsFault } from './tls-contract.ts';

/** OpenSSL's reasons, as Node spells them in `code`; the first pattern that fits counts. */
const CODES: readonly (readonly [RegExp, TlsFaultCode])[] = [
  [/DID_NOT_RETURN_A_CERTIFICATE|CERTIFICATE_VERIFY_FAILED/, 'certificate'],
  [
    /HTTP_REQUEST|HTTPS_PROXY_REQUEST|WRONG_VERSION_NUMBER|PACKET_LENGTH|UNEXPECTED_MESSAGE|RECORD_TYPE/,
    'not-tls',
  ],
  [/ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_(?:LOW|HIGH)|INAPPROPRIATE_FALLBACK/, 'version'],
  [/NO_SHARED_CIPHER|NO_SUITABLE|NO_PROTOCOLS_AVAILABLE|UNSUPPORTED_CURVE|NO_SHARED_GROUPS/, 'cipher'],
  [/_ALERT_/, 'rejected'],
  [/^ECONNRESET$/, 'closed'],
];

/** What OpenSSL's reason means, written in capitals and underscores. */
export function faultOfCode(code: string): TlsFaultCode {
  return CODES.find(([pattern]) => pattern.test(code))?.[1] ?? 'protocol';
}

/** What an error of a handshake means. Its text is OpenSSL's own, which names no key and nothing of one. */
export function tlsFaultOf(error: NodeJS.ErrnoException & { readonly reason?: string }): TlsFault {
  const { code = '' } = error;
  return { code: faultOfCode(code), text: error.reason ?? (code || error.message) };
}
