import { type Address, formatAddress } from '../core/address.ts';
import { type Cause, type Phase, terminationCode } from '../core/termination.ts';
import { printable } from '../core/text.ts';
import type { TlsFaultCode } from '../core/tls-fault.ts';
import { capabilityNames } from '../smtp/capabilities.ts';
import type { TlsInfo } from '../transport/tls-contract.ts';
import type { SessionAccount } from './account.ts';
import type { FailedTry } from './backend-faults.ts';
import type { BackendSearch } from './backend-search.ts';
import type { ClientTls } from './client-tls.ts';
import type { HandshakeView } from './handshake.ts';
import type { RoutingFacts, ServerNameRouter } from './server-name-router.ts';
import type { StickyFound } from './sticky.ts';

/** One session as the access log tells it: plain values, one JSON line. Times are milliseconds. */
export interface SessionRecord {
  readonly id: string;
  /** Wall-clock time of the accept. */
  readonly startedAtMs: number;
  readonly listener: string;
  /** The client, as a PROXY header named it where the listener expects one. */
  readonly client: string;
  /** Who connected, where that is not the client. */
  readonly via?: string;
  readonly pool: string;
  readonly backend: string | null;
  /** How the backend was found; left out where the pool is not sticky. */
  readonly sticky?: StickyFound;
  /** Backends tried in vain before. */
  readonly retries: readonly FailedTry[];
  readonly queueMs: number;
  readonly connectMs: number;
  readonly greetingMs: number;
  /** From the greeting to the relay, or to the end if that came first; null where nobody has greeted. */
  readonly handshakeMs: number | null;
  readonly durationMs: number;
  readonly bytesFromClient: number;
  readonly bytesFromBackend: number;
  readonly greetingCode: number;
  readonly hello: string | null;
  /** What the client called itself; as it came, so escape it before showing it. */
  readonly helloName: string;
  readonly capabilities: readonly string[];
  readonly starttls: string;
  /** TLS with the client, where it ends here; null where it did not come to it. */
  readonly tls: TlsFacts | null;
  /** What the client asked for, where the server name in TLS chooses the pool. */
  readonly routing?: RoutingFacts;
  /** Why its handshake failed. */
  readonly tlsFault?: TlsFaultCode;
  /** TLS that smtplb speaks with the backend, such as `TLSv1.3 TLS_AES_256_GCM_SHA384`; left out where it speaks none. */
  readonly backendTls?: string;
  readonly cause: Cause;
  readonly phase: Phase;
  /** Cause and phase in two letters. */
  readonly termination: string;
}

/** Server name and subject are the client's word; they are cut and escaped. */
export interface TlsFacts {
  readonly version: string;
  readonly cipher: string;
  readonly serverName: string | null;
  readonly resumed: boolean;
  /** The client's certificate. */
  readonly client?: { readonly subject: string; readonly verified: boolean };
}

function tlsFacts({ version, cipher, serverName, resumed, peer }: TlsInfo): TlsFacts {
  const client =
    peer === null ? {} : { client: { subject: printable(peer.subject), verified: peer.verified } };
  const name = serverName === null ? null : printable(serverName);
  return { version, cipher, serverName: name, resumed, ...client };
}

/** Why a session ended, and where. */
export interface Ending {
  readonly cause: Cause;
  readonly phase: Phase;
}

/** Where a record's facts come from. */
export interface RecordSource {
  readonly id: string;
  readonly ageMs: number;
  readonly listener: string;
  readonly client: Address;
  /** Who connected. */
  readonly via: Address;
  readonly pool: string;
  readonly search: BackendSearch | null;
  readonly account: SessionAccount;
  readonly tls: ClientTls | null;
  readonly router: ServerNameRouter | null;
}

export function makeRecord(source: RecordSource, { cause, phase }: Ending): SessionRecord {
  const { search, via, client, account, tls } = source;
  const found = search?.sticky?.found ?? null;
  return {
    id: source.id,
    startedAtMs: Date.now() - source.ageMs,
    listener: source.listener,
    client: clientText(client),
    ...(via === client ? {} : { via: clientText(via) }),
    pool: source.pool,
    backend: search?.backendName ?? null,
    ...(found === null ? {} : { sticky: found }),
    retries: search?.failedTries ?? [],
    queueMs: search?.queueMs ?? 0,
    connectMs: search?.connectMs ?? 0,
    greetingMs: search?.greetingMs ?? 0,
    handshakeMs: account.handshakeMs,
    durationMs: source.ageMs,
    bytesFromClient: account.bytesFromClient,
    bytesFromBackend: account.bytesFromBackend,
    ...account.facts,
    tls: tls === null || tls.info === null ? null : tlsFacts(tls.info),
    ...(tls === null || tls.fault === null ? {} : { tlsFault: tls.fault }),
    ...(source.router && { routing: source.router.record }),
    ...(search?.tls && { backendTls: `${search.tls.version} ${search.tls.cipher}` }),
    cause,
    phase,
    termination: terminationCode(cause, phase),
  };
}

/** A session that is not over, as an operator may see it. */
export interface SessionView {
  readonly id: string;
  readonly listener: string;
  readonly client: string;
  readonly pool: string;
  /** The backend whose slot it holds. */
  readonly backend: string | null;
  readonly phase: string;
  readonly ageMs: number;
  readonly bytesFromClient: number;
  readonly bytesFromBackend: number;
}

export function makeView(source: RecordSource, phase: string): SessionView {
  return {
    id: source.id,
    listener: source.listener,
    client: clientText(source.client),
    pool: source.pool,
    backend: source.search?.backend?.name ?? null,
    phase,
    ageMs: Math.round(source.ageMs),
    bytesFromClient: source.account.bytesFromClient,
    bytesFromBackend: source.account.bytesFromBackend,
  };
}

/** What the observer learnt, kept when it is let go. */
export type HandshakeFacts = Pick<
  SessionRecord,
  'greetingCode' | 'hello' | 'helloName' | 'capabilities' | 'starttls'
>;

export const NO_HANDSHAKE: HandshakeFacts = Object.freeze({
  greetingCode: 0,
  hello: null,
  helloName: '',
  capabilities: [],
  starttls: 'not-offered',
});

export function handshakeFacts(observer: HandshakeView): HandshakeFacts {
  return {
    greetingCode: observer.greetingCode,
    hello: observer.hello,
    helloName: observer.helloName(),
    capabilities: capabilityNames(observer.capabilities),
    starttls: observer.starttls,
  };
}

/** `192.0.2.1:4711`; a Unix socket's client has no name of its own. */
export function clientText(address: Address): string {
  return address.family === 'unix' ? 'unix' : formatAddress(address);
}
