import { type Address, formatAddress } from '../core/address.ts';
import { type Cause, type Phase, terminationCode } from '../core/termination.ts';
import { printable } from '../core/text.ts';
import type { TlsFaultCode } from '../core/tls-fault.ts';
import { capabilityNames } from '../smtp/capabilities.ts';
import type { TlsInfo } from '../transport/tls-contract.ts';
import type { SessionAccount } from './account.ts';
import type { FailedTry } from './backend-faults.ts';
import type { ClientIdentity } from './client-identity.ts';
import type { ClientTls } from './client-tls.ts';
import type { SessionContext } from './context.ts';
import type { Finding } from './finding.ts';
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
  readonly context: SessionContext;
  readonly ageMs: number;
  readonly who: ClientIdentity;
  /** Who connected. */
  readonly via: Address;
  readonly finding: Finding | null;
  readonly account: SessionAccount;
  readonly tls: ClientTls | null;
  readonly router: ServerNameRouter | null;
}

export function makeRecord(source: RecordSource, { cause, phase }: Ending): SessionRecord {
  const { account, context, finding, tls, via, who } = source;
  const sticky = finding?.sticky ?? null;
  return {
    id: who.id,
    startedAtMs: Date.now() - source.ageMs,
    listener: context.listener.name,
    client: clientText(who.address),
    ...(via === who.address ? {} : { via: clientText(via) }),
    pool: context.balancer.pool.name,
    backend: finding?.backendName ?? null,
    ...(sticky === null ? {} : { sticky }),
    retries: finding?.failedTries ?? [],
    queueMs: (finding?.queueUs ?? 0) / 1_000,
    connectMs: (finding?.connectUs ?? 0) / 1_000,
    greetingMs: (finding?.greetingUs ?? 0) / 1_000,
    handshakeMs: account.handshakeUs === null ? null : account.handshakeUs / 1_000,
    durationMs: source.ageMs,
    bytesFromClient: account.bytesFromClient,
    bytesFromBackend: account.bytesFromBackend,
    ...account.facts,
    tls: tls === null || tls.info === null ? null : tlsFacts(tls.info),
    ...(tls === null || tls.fault === null ? {} : { tlsFault: tls.fault }),
    ...(source.router && { routing: source.router.record }),
    ...(finding?.tls && { backendTls: `${finding.tls.version} ${finding.tls.cipher}` }),
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

export function makeView(
  { account, ageMs, context, finding, who }: RecordSource,
  phase: string,
): SessionView {
  return {
    id: who.id,
    listener: context.listener.name,
    client: clientText(who.address),
    pool: context.balancer.pool.name,
    backend: finding?.backend?.name ?? null,
    phase,
    ageMs: Math.round(ageMs),
    bytesFromClient: account.bytesFromClient,
    bytesFromBackend: account.bytesFromBackend,
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
