import { decodeV1 } from './decode-v1.ts';
import { decodeV2 } from './decode-v2.ts';
import { INCOMPLETE, invalid, type ProxyDecoded, V1_SIGNATURE, V2_SIGNATURE } from './header.ts';

/**
 * Reads a PROXY header, version 1 or 2, from all octets received so far (proxy-protocol.txt section 2).
 *
 * The caller collects octets, at most PROXY_V2_OCTETS, and asks again as more arrive. Whatever can be no
 * header is `invalid` as soon as that can be seen, and stays so whatever follows; nothing is guessed, and a
 * connection without a header is never let through. Octets behind the header are not looked at. The answer
 * holds no view into `bytes`. Never throws.
 */
export function decodeProxyHeader(bytes: Uint8Array): ProxyDecoded {
  const first = bytes[0];
  if (first === undefined) return INCOMPLETE;
  const signature = first === V2_SIGNATURE[0] ? V2_SIGNATURE : V1_SIGNATURE;
  const seen = Math.min(bytes.length, signature.length);
  for (let at = 0; at < seen; at++) {
    if (bytes[at] !== signature[at]) return invalid('no PROXY signature');
  }
  if (seen < signature.length) return INCOMPLETE;
  return signature === V2_SIGNATURE ? decodeV2(bytes) : decodeV1(bytes);
}
