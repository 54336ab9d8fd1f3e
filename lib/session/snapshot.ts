import type { AdmissionOptions } from '../admission/admission.ts';
import type { Address } from '../core/address.ts';
import type { Cidr } from '../core/cidr.ts';
import type { TlsSnapshot } from '../tls/listener-tls.ts';

/** What the data plane knows of a listener: plain values, which can be sent to another thread as they are. */
export interface ListenerSnapshot {
  /** The listener's row on the board and in the counter tables. */
  readonly row: number;
  readonly name: string;
  readonly addresses: readonly Address[];
  readonly backlog: number;
  /** The name of the pool that serves it. */
  readonly pool: string;
  /** Networks whose connections begin with a PROXY header; from everybody else none is expected. */
  readonly proxyFrom: readonly Cidr[];
  readonly admission: AdmissionOptions;
  /** Null where TLS is passed through. */
  readonly tls: TlsSnapshot | null;
  /** Null where `pool` serves all. */
  readonly routing: RoutingSnapshot | null;
  readonly timeouts: SessionTimeouts;
}

/** Pools chosen by the server name in TLS that is passed through. */
export interface RoutingSnapshot {
  /** Names in lower case, perhaps with a star for the first label. */
  readonly routes: readonly { readonly names: readonly string[]; readonly pool: string }[];
  /** EHLO keywords before STARTTLS. */
  readonly capabilities: readonly string[];
}

/** Milliseconds, all of them. */
export interface SessionTimeouts {
  /** From accept to a whole PROXY header; not renewed by a byte. */
  readonly proxyHeaderMs: number;
  /** From accept to the relay: queue, dialling, greeting and EHLO together; not renewed by a byte. */
  readonly handshakeMs: number;
  /** Without a byte in either direction, once relaying. */
  readonly idleMs: number;
}
