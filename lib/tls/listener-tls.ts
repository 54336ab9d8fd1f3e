import { createHash } from 'node:crypto';
import type { ServerTlsSettings } from '../transport/tls-contract.ts';
import type { CertificatePair } from './certificate-pair.ts';
import { secureContextOf } from './secure-context.ts';

/** How a listener speaks TLS with its clients: plain values, private keys among them. */
export interface TlsSnapshot {
  readonly mode: 'starttls' | 'implicit';
  /** With `starttls`: nothing of a mail is taken before. */
  readonly required: boolean;
  /** At least one; the first is shown where no other fits. */
  readonly certificates: readonly CertificatePair[];
  readonly minVersion: '1.2' | '1.3';
  /** An OpenSSL cipher list; null for Mozilla's intermediate profile. */
  readonly ciphers: string | null;
  /** `ca`: PEM text. */
  readonly clientCertificates: { readonly ca: string; readonly required: boolean } | null;
  /** Each of TICKET_KEY_OCTETS: the one that new session tickets are sealed with, then those still accepted. */
  readonly ticketKeys: readonly Uint8Array[];
}

/** What a client's first words say; see ClientHelloFacts. */
interface Hello {
  readonly serverName: string | null;
  readonly ticketName: Uint8Array | null;
}

/** One listener's TLS: certificates by the name a client asks for. */
export interface ListenerTls {
  settingsFor(hello: Hello): ServerTlsSettings;
  /** Throws OpenSSL's reason where a certificate cannot be used. */
  tryAll(): void;
}

/** Mozilla's server side TLS guidelines, version 5.7, "intermediate". The suites of TLS 1.3 are OpenSSL's own. */
export const INTERMEDIATE_CIPHERS = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'DHE-RSA-AES128-GCM-SHA256',
  'DHE-RSA-AES256-GCM-SHA384',
  'DHE-RSA-CHACHA20-POLY1305',
].join(':');

/** Octets of a ticket key as OpenSSL takes it: 16 that name it, 16 for the checksum, 16 for the cipher. */
export const TICKET_KEY_OCTETS = 48;
const TICKET_NAME_OCTETS = 16;

/** `listener`: sessions of one listener cannot be resumed at another. */
export function createListenerTls(listener: string, snapshot: TlsSnapshot): ListenerTls {
  const { certificates, ciphers, clientCertificates, minVersion, ticketKeys } = snapshot;
  const byName = new Map<string, number[]>();
  certificates.forEach(({ names }, at) => {
    for (const name of names) byName.set(name, [...(byName.get(name) ?? []), at]);
  });
  // Who must show a certificate here must not get in by a ticket that was given where none, or another, was asked for.
  const scope = createHash('sha256')
    .update(`${listener}\0${clientCertificates?.ca ?? ''}`)
    .digest('hex');
  const known = new Map<string, ServerTlsSettings>();

  const settingsOf = (chosen: readonly number[], ticketKey: number): ServerTlsSettings => {
    const id = `${chosen.join()}/${ticketKey}`;
    let settings = known.get(id);
    if (settings === undefined) {
      settings = {
        pairs: chosen.map(at => certificates[at] as CertificatePair),
        minVersion,
        ciphers: ciphers ?? INTERMEDIATE_CIPHERS,
        clientAuthorities: clientCertificates?.ca ?? null,
        sessionIdContext: scope.slice(0, 32),
        ticketKey: ticketKeys[ticketKey] ?? null,
      };
      known.set(id, settings);
    }
    return settings;
  };

  /** The first of each kind of key among those valid for the name: an exact name goes before a wildcard. */
  const choose = (name: string): readonly number[] => {
    const wildcard = name.replace(/^[^.]+/, '*');
    const valid = [...(byName.get(name) ?? []), ...(byName.get(wildcard) ?? [])];
    const kinds = new Map<string, number>();
    for (const at of valid) {
      const { keyType } = certificates[at] as CertificatePair;
      if (!kinds.has(keyType)) kinds.set(keyType, at);
    }
    return [...kinds.values()];
  };

  const first = certificates[0]?.names[0];
  // The first certificate leads, and may have one of another kind at its side.
  const fallback = [
    0,
    ...(first === undefined ? [] : choose(first)).filter(
      at => at !== 0 && certificates[at]?.keyType !== certificates[0]?.keyType,
    ),
  ];

  return {
    settingsFor({ serverName, ticketName }) {
      const chosen = serverName === null ? [] : choose(serverName);
      const sealed = ticketName === null ? -1 : ticketKeys.findIndex(key => isNamed(key, ticketName));
      return settingsOf(chosen.length > 0 ? chosen : fallback, Math.max(0, sealed));
    },
    tryAll() {
      for (const at of certificates.keys()) secureContextOf(settingsOf([at], 0));
    },
  };
}

function isNamed(key: Uint8Array, name: Uint8Array): boolean {
  return Buffer.compare(key.subarray(0, TICKET_NAME_OCTETS), name) === 0;
}
