import type { Address } from '../core/address.ts';
import type { FaultCode } from '../core/fault.ts';
import type { BackendColumn } from '../core/shard-stats.ts';
import type { BackendSnapshot, PoolSnapshot } from '../pool/snapshot.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../transport/contract.ts';
import { faultOf } from './backend-faults.ts';
import { BackendPreparation, type PreparationOwner, type Prepared } from './backend-preparation.ts';
import type { SessionContext } from './context.ts';
import { type Origin, originOf } from './origin.ts';
import { notePlaintext, noteXclient } from './preparation-news.ts';

/** What dialling takes of a session's world. */
export type DialContext = Pick<
  SessionContext,
  'balancer' | 'hostName' | 'preparer' | 'stats' | 'transport' | 'wheel'
>;

/** For whom a backend is dialled. */
export interface DialledFor {
  readonly address: Address;
  /** The PROXY header for a backend; null where it gets none. */
  header(identity: PoolSnapshot['identity']): Uint8Array | null;
}

export interface DialOwner {
  /** It is being dialled, perhaps again. The time for that begins; the owner holds the deadline. */
  onDialling(): void;
  /** The connection is established. The time for the greeting begins. */
  onConnected(): void;
  /** The connection is the owner's, and all that can be had without the client has been had. */
  onPrepared(connection: Connection, prepared: Prepared): void;
  /** This backend will not do. `detail` is safe to show. */
  onUnprepared(fault: FaultCode, detail?: string): void;
}

const NOTHING: Prepared = { greeting: new Uint8Array(0), tls: null, trusting: false, xclient: null };

/** One backend on its way: dialled, told the client in a PROXY header, and prepared as its pool asks for. */
export class BackendDial implements ConnectionHandler, PreparationOwner {
  readonly whom: DialledFor;
  readonly #backend: BackendSnapshot;
  readonly #context: DialContext;
  readonly #owner: DialOwner;
  readonly #origin: Origin | null;
  #connection: Connection | null = null;
  #preparation: BackendPreparation | null = null;

  constructor(backend: BackendSnapshot, whom: DialledFor, context: DialContext, owner: DialOwner) {
    this.#backend = backend;
    this.whom = whom;
    this.#context = context;
    this.#owner = owner;
    this.#origin = originOf(context.balancer.pool, backend.address, whom);
  }

  begin(): void {
    this.#owner.onDialling();
    const options = this.#origin?.options();
    if (typeof options === 'string') return this.#owner.onUnprepared(options);
    this.#connection = this.#context.transport.connect(this.#backend.address, this, options);
  }

  /** It has taken too long since it was connected. */
  timedOut(): void {
    this.#preparation?.timedOut();
  }

  /** Nobody wants it any more. */
  stop(): void {
    this.#connection?.destroy();
    this.#connection = null;
    this.#preparation = null;
  }

  onConnect(): void {
    const { balancer, hostName, preparer, transport, wheel } = this.#context;
    if (this.#connection === null) return;
    const plan = preparer.planFor(balancer.pool);
    const mayBeSecured = (plan?.tls ?? null) !== null && transport.securable !== undefined;
    const connection = mayBeSecured ? transport.securable(this.#connection) : this.#connection;
    this.#connection = connection;
    this.#owner.onConnected();
    const header = this.whom.header(balancer.pool.identity);
    if (header !== null) connection.write(header);
    if (plan === null) return this.onPrepared(NOTHING);
    const options = { plan, backend: this.#backend, hostName, transport, nowMs: wheel.now() };
    this.#preparation = new BackendPreparation(connection, options, this);
    this.#preparation.begin();
  }

  onBytes(): void {}
  onEnd(): void {}
  onDrain(): void {}

  onClose(reason: CloseReason): void {
    if (reason === 'no-ports' && this.#origin?.another() === true) this.begin();
    else this.#owner.onUnprepared(faultOf(reason, true));
  }

  onPrepared(prepared: Prepared): void {
    const connection = this.#connection;
    if (connection === null) return;
    this.#connection = null;
    this.#preparation = null;
    this.#owner.onPrepared(connection, prepared);
  }

  onUnprepared(fault: FaultCode, detail: string): void {
    this.#owner.onUnprepared(fault, detail);
  }

  onPlaintextWanted(detail: string): void {
    notePlaintext(this.#context, this.#backend, detail);
    this.stop();
    this.begin();
  }

  onXclientOffered(offered: boolean): void {
    noteXclient(this.#context, this.#backend, offered);
  }

  count(column: BackendColumn): void {
    this.#context.stats.backends.add(this.#backend.row, column);
  }
}
