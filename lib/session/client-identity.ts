import type { Address } from '../core/address.ts';
import type { PoolSnapshot } from '../pool/snapshot.ts';
import type { ProxyHeader } from '../proxy-protocol/header.ts';
import type { Connection } from '../transport/contract.ts';
import type { TlsInfo } from '../transport/tls-contract.ts';
import type { XclientEnds } from '../xclient/xclient.ts';
import { identityHeader } from './identity.ts';

/** Who a session's client is as far as it is known, and what backends are told of it. */
export class ClientIdentity {
  /** As its socket says, or a PROXY header where the listener expects one. */
  address: Address;
  /** TLS with it that was in force before a backend was looked for. */
  tls: TlsInfo | null = null;
  /** What it asked for in TLS before a backend was looked for, in lower case, and what it called itself. Its own words. */
  serverName: string | null = null;
  helloName: string | null = null;
  readonly #client: Connection;
  readonly #nextId: () => string;
  #destination: Address | null = null;
  #id: string | null = null;

  constructor(client: Connection, nextId: () => string) {
    this.#client = client;
    this.#nextId = nextId;
    this.address = client.remote;
  }

  /** The session's id, made when it is first asked for. */
  get id(): string {
    this.#id ??= this.#nextId();
    return this.#id;
  }

  /** What limits and hashes know it by. */
  get host(): string {
    return this.address.family === 'unix' ? 'unix' : this.address.host;
  }

  introduced({ source, destination }: ProxyHeader): void {
    if (source !== null) this.address = source;
    this.#destination = destination;
  }

  /** TLS from the start is in force. */
  secured(info: TlsInfo): void {
    this.tls = info;
    this.serverName = info.serverName;
  }

  /** TLS is passed through; these names came before. */
  asks(serverName: string | null, helloName: string): void {
    this.serverName = serverName;
    this.helloName = helloName === '' ? null : helloName;
  }

  /** What XCLIENT says. */
  ends(): XclientEnds {
    return { source: this.address, destination: this.#destination ?? this.#client.local };
  }

  /** The PROXY header for a backend; null where it gets none. */
  header(identity: PoolSnapshot['identity']): Uint8Array | null {
    if (identity === 'none' || identity === 'xclient') return null;
    const { source, destination } = this.ends();
    return identityHeader(identity, source, destination, this.id, this.tls, this.serverName);
  }
}
