import type { Cause } from '../core/termination.ts';
import type { TlsFaultCode } from '../core/tls-fault.ts';
import { createListenerTls, type TlsSnapshot } from '../tls/listener-tls.ts';
import type { CloseReason, Connection } from '../transport/contract.ts';
import type { TlsFault, TlsInfo, TlsServerOptions } from '../transport/tls-contract.ts';
import type { SessionContext } from './context.ts';
import type { TlsSide } from './tls-side.ts';

/** TLS that ends here: what a listener's sessions need for it. */
export interface TlsTermination {
  readonly mode: 'starttls' | 'implicit';
  /** With `starttls`: nothing of a mail is taken before. */
  readonly required: boolean;
  readonly options: TlsServerOptions;
}

/** From what the control plane sends to what sessions use; certificates are only read when they are first shown. */
export function termination(listener: string, snapshot: TlsSnapshot): TlsTermination {
  const { clientCertificates, mode, required } = snapshot;
  const { settingsFor } = createListenerTls(listener, snapshot);
  return {
    mode,
    required,
    options: {
      role: 'server',
      settingsFor,
      clientCertificates:
        clientCertificates === null ? 'ignored' : clientCertificates.required ? 'required' : 'optional',
    },
  };
}

/** Fatal alerts in plaintext, as they may stand before the handshake (RFC 8446 section 6). */
const alert = (description: number): Uint8Array => Uint8Array.of(21, 3, 1, 0, 2, 2, description);
const ACCESS_DENIED = alert(49);
const INTERNAL_ERROR = alert(80);
/** Refusals for who the client is; the others say nothing of it. */
const PERSONAL: ReadonlySet<Cause> = new Set(['denied', 'client-limit', 'client-rate']);

/** What a client that awaits TLS is told in the place of SMTP when its session ends for `cause`. */
export function alertFor(cause: Cause): Uint8Array {
  return PERSONAL.has(cause) ? ACCESS_DENIED : INTERNAL_ERROR;
}

/** TLS between a session's client and this program: whether it has begun, and what became of it. */
export class ClientTls {
  /** Once it is in force. */
  info: TlsInfo | null = null;
  fault: TlsFaultCode | null = null;
  /** The handshake goes on: the client can be told nothing. */
  securing = false;
  /** The client must speak TLS before anything else. */
  readonly first: boolean;
  readonly required: boolean;
  readonly #options: TlsServerOptions;
  readonly #context: SessionContext;
  readonly #client: Connection;

  constructor({ mode, required, options }: TlsTermination, context: SessionContext, client: Connection) {
    this.first = mode === 'implicit';
    this.required = required;
    this.#options = options;
    this.#context = context;
    this.#client = client;
  }

  /** Begins the handshake; `sent` is what the client has sent of it. */
  begin(handler: TlsSide, sent: readonly Uint8Array[] = []): void {
    const { transport } = this.#context;
    this.securing = true;
    this.#client.handler = handler;
    if (transport.secure === undefined) throw new Error('this transport does not speak TLS');
    const options = sent.length === 0 ? this.#options : { ...this.#options, first: Buffer.concat(sent) };
    transport.secure(this.#client, options);
  }

  secured(info: TlsInfo): void {
    const { listener, stats } = this.#context;
    this.securing = false;
    this.info = info;
    stats.listeners.add(listener.row, info.version === 'TLSv1.2' ? 'tls/TLSv1.2' : 'tls/TLSv1.3');
    if (info.resumed) stats.listeners.add(listener.row, 'tlsResumed');
  }

  failed(code: TlsFaultCode): void {
    const { listener, stats } = this.#context;
    this.fault = code;
    stats.listeners.add(listener.row, `tlsFault/${code}`);
  }

  /** The connection is over within the handshake; `fault` where that failed. Returns why the session ends. */
  closed(reason: CloseReason, fault: TlsFault | undefined): Cause {
    if (fault === undefined) return reason === 'failed' ? 'internal' : 'client-reset';
    this.failed(fault.code);
    return 'tls-failed';
  }

  /** The session's deadline has passed: true where the handshake was what took so long. */
  timedOut(): boolean {
    if (this.securing) this.failed('timeout');
    return this.securing;
  }

  /** What a client that is refused is told in the place of SMTP, where it must speak TLS first and has not yet. */
  alert(cause: Cause): Uint8Array | null {
    return this.first && this.info === null ? alertFor(cause) : null;
  }
}
