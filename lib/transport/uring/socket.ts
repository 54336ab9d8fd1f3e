import type { Address } from '../../core/address.ts';
import { CLOSED, type DescriptorHolder } from '../linux/descriptor.ts';
import type { MemoryAddress } from '../linux/libc.ts';
import { setKeepAlive } from '../linux/tcp-options.ts';
import { KIND, type Kind, type OperationOwner, tagOf } from './operations.ts';
import type { Outbox } from './outbox.ts';
import type { Completion } from './ring.ts';
import type { Shared } from './shared.ts';
import { IS } from './state.ts';

const POLLIN = 1;
const POLLOUT = 4;

/** Which operations have to be ended, where they are under way; a send ends by itself. */
const CANCELLED: readonly (readonly [flag: number, kind: Kind])[] = [
  [IS.RECEIVING, KIND.receive],
  [IS.AWAITING_ROOM, KIND.writable],
  [IS.WATCHED, KIND.broken],
  [IS.DIALLING, KIND.connect],
];

/**
 * One descriptor and what is under way for it in the ring. At most one operation of a kind is. The descriptor is closed
 * when it is over and the last operation has completed: till then the kernel holds on to the socket anyway.
 */
export abstract class UringSocket implements DescriptorHolder, OperationOwner {
  descriptor = CLOSED;
  generation = 0;
  /** Of `IS`. */
  state: number;
  abstract readonly remote: Address;
  protected readonly shared: Shared;
  readonly #slot: number;
  #underWay = 0;

  constructor(shared: Shared, descriptor: number, state: number) {
    this.shared = shared;
    this.state = state;
    this.#slot = shared.operations.enter(this);
    if (descriptor >= 0) shared.table.adopt(this, descriptor);
  }

  /** Any of these. */
  is(flags: number): boolean {
    return (this.state & flags) !== 0;
  }

  keepAlive(): void {
    if (this.is(IS.KEPT_ALIVE | IS.GONE)) return;
    this.state |= IS.KEPT_ALIVE;
    const { libc, tcp } = this.shared;
    if (this.remote.family !== 'unix') setKeepAlive(libc, this.descriptor, tcp);
  }

  completed(kind: Kind, completion: Completion): void {
    this.#underWay--;
    this.handle(kind, completion);
    this.closeIfQuiet();
  }

  protected abstract handle(kind: Kind, completion: Completion): void;

  protected startConnect(sockaddr: MemoryAddress, octets: number): void {
    this.shared.ring.connect(this.descriptor, this.#start(KIND.connect), sockaddr, octets);
  }

  /** `wait`: it is known that there is nothing to read yet. Of a bulk transfer, only that there is something is told. */
  protected startReceive(wait: boolean): void {
    if (this.is(IS.GONE | IS.RECEIVING | IS.PEER_ENDED | IS.DIALLING | IS.QUEUED)) return;
    this.state |= IS.RECEIVING;
    const { buffers, ring } = this.shared;
    const tag = this.#start(KIND.receive);
    if (this.is(IS.BULK)) ring.poll(this.descriptor, tag, POLLIN);
    else ring.receive(this.descriptor, tag, buffers.group, wait);
  }

  protected startSend(out: Outbox): void {
    if (out.empty || this.is(IS.SENDING | IS.AWAITING_ROOM | IS.DIALLING)) return;
    this.state |= IS.SENDING;
    this.shared.ring.send(this.descriptor, this.#start(KIND.send), out.address, out.length);
  }

  protected startAwaitingRoom(): void {
    this.state |= IS.AWAITING_ROOM;
    this.shared.ring.poll(this.descriptor, this.#start(KIND.writable), POLLOUT);
  }

  /** While nothing is read, notices a reset all the same: errors are told in any case, and nothing else is asked for. */
  watch(): void {
    if (this.is(IS.GONE | IS.WATCHED | IS.RECEIVING | IS.DIALLING)) return;
    this.state |= IS.WATCHED;
    this.shared.ring.poll(this.descriptor, this.#start(KIND.broken), 0);
  }

  /** It is over. */
  protected leave(): void {
    this.state |= IS.GONE;
    for (const [flag, kind] of CANCELLED) {
      if (this.is(flag)) this.shared.ring.cancel(tagOf(this.#slot, kind), tagOf(0, KIND.ignored));
    }
    this.closeIfQuiet();
  }

  private closeIfQuiet(): void {
    if (this.#underWay > 0 || !this.is(IS.GONE) || this.is(IS.CLOSED)) return;
    this.state |= IS.CLOSED;
    this.shared.table.close(this);
    this.shared.operations.leave(this.#slot);
  }

  #start(kind: Kind): number {
    this.#underWay++;
    return tagOf(this.#slot, kind);
  }
}
