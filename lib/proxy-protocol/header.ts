import type { Address } from '../core/address.ts';
import type { ProxyTlvs } from './tlv.ts';

/** First octets of version 1, with the space that must follow (proxy-protocol.txt section 2.1). */
export const V1_SIGNATURE = Uint8Array.from(Buffer.from('PROXY ', 'latin1'));
/** First octets of version 2 (section 2.2). */
export const V2_SIGNATURE = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10);

/** Octets of version 2 before the address block: signature, version and command, family, length. */
export const V2_HEAD_OCTETS = 16;
/** Octets of one Unix address; a shorter path is padded with NUL. */
export const UNIX_PATH_OCTETS = 108;
/** Octets of the address blocks: two addresses, and two ports but for Unix. */
export const BLOCK_OCTETS = { ipv4: 12, ipv6: 36, unix: 2 * UNIX_PATH_OCTETS } as const;
/** The octet that says family and transport (always a stream here). */
export const FAMILY_OCTET = { unspecified: 0x00, ipv4: 0x11, ipv6: 0x21, unix: 0x31 } as const;
/** The octet that says version 2 and the command. */
export const COMMAND_OCTET = { local: 0x20, proxy: 0x21 } as const;

/** What a PROXY header said about the connection it opens. */
export interface ProxyHeader {
  readonly version: 1 | 2;
  /** `local`: the sender speaks for itself, a check for instance. The real peer is the client. */
  readonly command: 'local' | 'proxy';
  /** The client; null where the header names none (local, UNKNOWN, UNSPEC): the real peer is the client. */
  readonly source: Address | null;
  /** Where the client connected to; null exactly where `source` is. */
  readonly destination: Address | null;
  /** Version 2 only, and only with addresses. */
  readonly tlvs?: ProxyTlvs;
}

/** The answer to the octets that have arrived so far. */
export type ProxyDecoded =
  | { readonly status: 'incomplete' }
  | { readonly status: 'invalid'; readonly reason: string }
  | {
      readonly status: 'valid';
      /** Octets the header takes; what follows belongs to the session. */
      readonly length: number;
      readonly header: ProxyHeader;
    };

export const INCOMPLETE: ProxyDecoded = Object.freeze({ status: 'incomplete' });

/** `reason` is for a log line: fixed words of ours, never octets of the peer. */
export function invalid(reason: string): ProxyDecoded {
  return { status: 'invalid', reason };
}
