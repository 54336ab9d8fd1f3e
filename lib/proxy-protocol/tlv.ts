/** What a PROXY protocol version 2 header may carry besides addresses (proxy-protocol.txt section 2.2). */

/** Octets before a value: one of type, two of length. */
export const TLV_HEAD_OCTETS = 3;
/** Octets of a CRC32C value. */
export const CRC32C_OCTETS = 4;
/** Octets of an SSL value before its own TLVs: one of client flags, four of verification result. */
export const SSL_HEAD_OCTETS = 5;

/** Registered types, by the specification's names. */
export const TLV = {
  alpn: 0x01,
  authority: 0x02,
  crc32c: 0x03,
  noop: 0x04,
  uniqueId: 0x05,
  ssl: 0x20,
  netns: 0x30,
} as const;

/** Types inside the SSL value. */
export const SSL_TLV = {
  version: 0x21,
  commonName: 0x22,
  cipher: 0x23,
  signatureAlgorithm: 0x24,
  keyAlgorithm: 0x25,
} as const;

/** Bits of `ProxyTls.client`. */
export const PROXY_CLIENT = {
  /** The client connected over TLS. */
  tls: 0x01,
  /** It gave a certificate over this connection. */
  certificateNow: 0x02,
  /** It gave a certificate at least once over the TLS session this connection belongs to. */
  certificateInSession: 0x04,
} as const;

/** The client's TLS, as the proxy that terminated it reports (section 2.2.6). Texts are as given: unescaped. */
export interface ProxyTls {
  /** Bits of `PROXY_CLIENT`; 0 to 255. */
  readonly client: number;
  /** 0 where a client certificate was given and verified, otherwise not 0; unsigned, 32 bits. */
  readonly verify: number;
  /** For example `TLSv1.3`. */
  readonly version?: string | undefined;
  /** Common name of the client's certificate. */
  readonly commonName?: string | undefined;
  /** For example `TLS_AES_256_GCM_SHA384`. */
  readonly cipher?: string | undefined;
  /** Algorithm that signed the certificate of the listener, for example `RSA-SHA256`. */
  readonly signatureAlgorithm?: string | undefined;
  /** Key of the certificate of the listener, for example `RSA2048`. */
  readonly keyAlgorithm?: string | undefined;
}

/** The TLVs that are understood. Texts are UTF-8 from outside: bounded, not yet fit for a log or a page. */
export interface ProxyTlvs {
  /** Protocol agreed on through TLS ALPN. */
  readonly alpn?: string;
  /** Host name the client asked for: the SNI of its TLS. */
  readonly authority?: string;
  /** Opaque, at most PROXY_UNIQUE_ID_OCTETS. Owned by the holder, not a view into what was received. */
  readonly uniqueId?: Uint8Array;
  readonly tls?: ProxyTls;
  /** Name of the network namespace the client came from. */
  readonly netns?: string;
}
