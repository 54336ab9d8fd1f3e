import type { Address } from '../core/address.ts';
import type { PoolSnapshot } from '../pool/snapshot.ts';
import { encodeProxyV1, encodeProxyV2 } from '../proxy-protocol/encode.ts';
import { PROXY_CLIENT, type ProxyTls } from '../proxy-protocol/tlv.ts';
import type { TlsInfo } from '../transport/tls-contract.ts';

/** What a backend is told of the client before anything else is sent; null where the pool's backends expect nothing. */
export function identityHeader(
  identity: PoolSnapshot['identity'],
  source: Address,
  destination: Address,
  sessionId: string,
  tls: TlsInfo | null,
  serverName: string | null,
): Uint8Array | null {
  switch (identity) {
    case 'none':
    case 'transparent':
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
        ...(tls !== null && { tls: proxyTls(tls) }),
        authority: serverName ?? undefined,
      });
  }
}

/** The client's TLS, where it was done before a backend is dialled: with `tls.mode: implicit`. */
function proxyTls({ version, cipher, peer, resumed }: TlsInfo): ProxyTls {
  const certificate = resumed
    ? PROXY_CLIENT.certificateInSession
    : PROXY_CLIENT.certificateNow | PROXY_CLIENT.certificateInSession;
  return {
    client: PROXY_CLIENT.tls | (peer === null ? 0 : certificate),
    verify: peer?.verified === true ? 0 : 1,
    version,
    cipher,
    commonName: peer?.commonName ?? undefined,
  };
}
