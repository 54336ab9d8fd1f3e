import type { TlsFaultCode } from '../core/tls-fault.ts';

/** What a server's TLS is made of: plain values. One object stands for the same values: what is made of it is kept. */
export interface ServerTlsSettings {
  /** PEM texts: a certificate, then those that lead to its authority, and its key. One of each kind of key. */
  readonly pairs: readonly { readonly cert: string; readonly key: string }[];
  readonly minVersion: '1.2' | '1.3';
  /** An OpenSSL cipher list; names that begin with `TLS_` are suites of TLS 1.3. */
  readonly ciphers: string;
  /** PEM texts of those who may vouch for clients; null: nobody, and no list of them is sent. */
  readonly clientAuthorities: string | null;
  /** At most 32 characters: sessions of another scope cannot be resumed. */
  readonly sessionIdContext: string;
  /** 48 octets that session tickets are sealed with; null: keys of their own. */
  readonly ticketKey: Uint8Array | null;
}

/** What is asked of a backend's certificate, and what we show it: plain values, kept as the others are. */
export interface ClientTlsSettings {
  /** PEM texts of those who may vouch for backends; null: the authorities Node knows. */
  readonly ca: string | null;
  /** PEM texts: our certificate, then those that lead to its authority, and its key; null: we show none. */
  readonly certificate: { readonly cert: string; readonly key: string } | null;
  readonly minVersion: '1.2' | '1.3';
}

/** Towards a client: we show a certificate. */
export interface TlsServerOptions {
  readonly role: 'server';
  /** The certificates and keys for a client, chosen by what its ClientHello says in the clear. Must not throw. */
  readonly settingsFor: (hello: ClientHelloFacts) => ServerTlsSettings;
  /** Whether clients are asked for a certificate. With `required`, none or an invalid one fails the handshake. */
  readonly clientCertificates: 'ignored' | 'optional' | 'required';
  /**
   * What the client has sent of its handshake already: the bytes behind a PROXY header. Never what came as plaintext
   * SMTP: that ends the session.
   */
  readonly first?: Uint8Array | undefined;
}

/** Towards a backend: we are shown a certificate, and the handler of `onSecure` decides whether it will do. */
export interface TlsClientOptions {
  readonly role: 'client';
  readonly settings: ClientTlsSettings;
  /** What the certificate must be valid for; sent as server name where it is a host name. */
  readonly serverName: string;
  /** An earlier session with this backend, which saves the peers the costly half of the handshake. */
  readonly session?: Buffer | undefined;
  /** Sessions for later; may come several times, and after `onSecure`. */
  readonly onSession?: ((session: Buffer) => void) | undefined;
}

/** What a ClientHello says before anything is encrypted. */
export interface ClientHelloFacts {
  /** Lower case; null where the client names none. It is the client's word. */
  readonly serverName: string | null;
  /** 16 octets that name the key of a session ticket it shows; null where it shows none. */
  readonly ticketName: Uint8Array | null;
}

/** What a handshake came to. */
export interface TlsInfo {
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly version: string;
  /** OpenSSL's name, such as `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string;
  /** What was asked for, in lower case; null where no name was. A client's word: escape it before showing it. */
  readonly serverName: string | null;
  /** The keys come from an earlier session (a ticket). */
  readonly resumed: boolean;
  /** Null where the peer has shown no certificate. */
  readonly peer: TlsPeer | null;
}

/** The certificate of the other side. All texts are its word: escape them before showing them. */
export interface TlsPeer {
  /** It comes from an authority that the context trusts, is in force, and, for a backend, valid for the server name. */
  readonly verified: boolean;
  /** Why it is not, such as `CERT_HAS_EXPIRED`; null where it is. */
  readonly fault: string | null;
  /** `CN=edge-1,O=Example`; the distinguished name with its parts in the order of the certificate. */
  readonly subject: string;
  readonly commonName: string | null;
  /** The names it is for, such as `DNS:mx.example, IP Address:192.0.2.1`; empty where it names none. */
  readonly names: string;
  /** SHA-256 of the certificate: 64 hexadecimal digits in lower case. */
  readonly fingerprint: string;
  /** SHA-256 of its public key (SubjectPublicKeyInfo, RFC 7469), as above: it outlives a renewal with the same key. */
  readonly keyFingerprint: string;
}

/** Why a handshake failed. */
export interface TlsFault {
  readonly code: TlsFaultCode;
  /** For an operator, such as `tlsv1 alert unknown ca`. */
  readonly text: string;
}

export const CLOSED_WITHIN: TlsFault = {
  code: 'closed',
  text: 'the connection was closed within the handshake',
};
