import type { Address } from '../core/address.ts';
import type { PoolSnapshot } from '../pool/snapshot.ts';
import { encodeProxyV1, encodeProxyV2 } from '../proxy-protocol/encode.ts';

/** What a backend is told of the client before anything else is sent; null where the pool's backends expect nothing. */
export function identityHeader(
  identity: PoolSnapshot['identity'],
  source: Address,
  destination: Address,
  sessionId: string,
): Uint8Array | null {
  switch (identity) {
    case 'none':
    case 'xclient':
      return null;
    case 'proxy-v1':
      return encodeProxyV1({ source, destination });
    case 'proxy-v2':
      return encodeProxyV2({
        command: 'proxy',
        source,
        destination,
        uniqueId: Buffer.from(sessionId, 'latin1'),
      });
  }
}
