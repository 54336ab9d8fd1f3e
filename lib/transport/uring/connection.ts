import type { Address } from '../../core/address.ts';
import type { CloseReason, Connection, ConnectionHandler } from '../contract.ts';
import { AGAIN, dialReason, INTERRUPTED, isShortage } from '../linux/errno.ts';
import type { MemoryAddress } from '../linux/libc.ts';
import { NAMELESS } from '../linux/sockaddr.ts';
import { SILENT } from '../silent.ts';
import { BULK_OCTETS, pump } from './bulk.ts';
import { KIND, type Kind } from './operations.ts';
import { Outbox } from './outbox.ts';
import type { UringRelay } from './relay.ts';
import type { Completion } from './ring.ts';
import type { Shared } from './shared.ts';
import { UringSocket } from './socket.ts';
import { IS } from './state.ts';

/** Octets kept for a peer that does not take them, before `write` says "wait". */
const HIGH_WATER_MARK = 65_536;

const POLLERR = 8;

/**
 * One socket behind the contract. At most one receive and one send are under way; everything else waits its turn here.
 * What is sent straight from a receive buffer holds it for one turn: a peer that does not take it at once gets a copy.
 */
export class UringConnection extends UringSocket implements Connection {
  handler: ConnectionHandler = SILENT;
  readonly remote: Address;
  /** The relay that has taken this connection over, and the other one in it. */
  relay: UringRelay | null = null;
  peer: UringConnection | null = null;
  /** Octets received while relayed. */
  relayed = 0;
  /** Null while there is nothing to send: most connections are idle. */
  #out: Outbox | null = null;
  /** Received while paused. */
  #held: Uint8Array | null = null;
  /** Why it could not even begin to dial. */
  #failure: CloseReason | null = null;

  /** `established`: accepted; else it is told to `dial`. Without a descriptor it can only `failLater`. */
  constructor(shared: Shared, descriptor: number, remote: Address, established: boolean) {
    super(shared, descriptor, established ? IS.ESTABLISHED | IS.KEPT_ALIVE : IS.DIALLING);
    this.remote = remote;
  }

  get local(): Address {
    return this.shared.libc.localAddress(this.descriptor) ?? NAMELESS;
  }

  get peerEnded(): boolean {
    return this.is(IS.PEER_ENDED);
  }

  /** Accepted: begins to read. */
  begin(): void {
    this.startReceive(true);
  }

  /** `sockaddr` must stay until the next turn. */
  dial(sockaddr: MemoryAddress, length: number): void {
    this.startConnect(sockaddr, length);
  }

  /** Could not even begin to dial. */
  failLater(reason: CloseReason): void {
    this.#failure = reason;
    this.#goOnLater();
  }

  write(bytes: Uint8Array): boolean {
    if (this.is(IS.GONE | IS.END_WANTED) || bytes.length === 0) return true;
    const out = this.#outbox();
    out.add(bytes, this.is(IS.AWAITING_ROOM));
    this.#send();
    if (out.octets < HIGH_WATER_MARK) return true;
    this.state |= IS.DRAIN_OWED;
    return false;
  }

  pause(): void {
    this.state |= IS.PAUSED;
    this.watch();
  }

  resume(): void {
    if (!this.is(IS.PAUSED)) return;
    this.state &= ~IS.PAUSED;
    if (this.#held !== null || (this.is(IS.PEER_ENDED) && !this.is(IS.END_TOLD))) this.#goOnLater();
    else this.startReceive(false);
  }

  end(): void {
    if (this.is(IS.GONE | IS.END_WANTED)) return;
    this.state |= IS.END_WANTED;
    if (this.#out === null && !this.is(IS.DIALLING)) this.#shutdown();
  }

  destroy(): void {
    if (this.is(IS.GONE)) return;
    this.handler = SILENT;
    this.#out?.clear(this.is(IS.SENDING));
    this.leave();
  }

  reset(): void {
    if (this.is(IS.GONE)) return;
    if (this.is(IS.ESTABLISHED) && this.remote.family !== 'unix')
      this.shared.libc.setAbortive(this.descriptor);
    this.destroy();
  }

  /** In a relay: passes on what stands in a receive buffer, which the caller holds. */
  forward(buffer: number, length: number): void {
    if (this.is(IS.GONE | IS.END_WANTED)) return;
    this.#outbox().addBuffer(buffer, 0, length, this.is(IS.AWAITING_ROOM));
    this.#send();
  }

  /** In a relay: the other side has taken all there was. */
  readOn(): void {
    if (this.is(IS.BULK)) this.#pump();
    else if (!this.is(IS.PAUSED)) this.startReceive(false);
  }

  /** What had to wait for the end of the turn. */
  goOn(): void {
    this.state &= ~IS.QUEUED;
    if (this.#failure !== null) return this.#failed(this.#failure);
    if (this.is(IS.GONE)) return;
    if (this.is(IS.ENDED) && this.is(IS.END_TOLD)) return this.#closedInOrder();
    if (this.is(IS.PAUSED)) return;
    if (this.is(IS.BULK)) return this.#pump();
    const held = this.#held;
    if (held !== null) {
      this.#held = null;
      this.#tellBytes(held);
    }
    if (this.is(IS.GONE | IS.PAUSED)) return;
    if (this.is(IS.PEER_ENDED)) this.#tellEnd();
    else this.startReceive(false);
  }

  protected handle(kind: Kind, { result, buffer, more }: Completion): void {
    if (buffer >= 0) this.shared.buffers.taken(buffer);
    switch (kind) {
      case KIND.receive:
        this.state &= ~IS.RECEIVING;
        if (this.is(IS.BULK)) this.#pump();
        else if (!this.is(IS.GONE)) this.#received(result, buffer, more);
        if (buffer >= 0) this.shared.buffers.release(buffer);
        break;
      case KIND.send:
        this.state &= ~IS.SENDING;
        this.#sent(result);
        break;
      case KIND.writable:
        this.state &= ~IS.AWAITING_ROOM;
        if (!this.is(IS.GONE)) this.#send();
        break;
      case KIND.connect:
        if (!this.is(IS.GONE)) this.#connected(result);
        break;
      case KIND.broken:
        this.state &= ~IS.WATCHED;
        if (!this.is(IS.GONE) && result > 0 && (result & POLLERR) !== 0) this.#failed('reset');
        break;
    }
  }

  #connected(result: number): void {
    this.state &= ~IS.DIALLING;
    if (result < 0) return this.#failed(dialReason(result));
    this.state |= IS.ESTABLISHED;
    this.#guard(() => this.handler.onConnect());
    if (this.is(IS.GONE)) return;
    if (this.#out !== null) this.#send();
    else if (this.is(IS.END_WANTED)) this.#shutdown();
    if (!this.is(IS.PAUSED)) this.startReceive(true);
  }

  #received(result: number, buffer: number, more: boolean): void {
    if (result > 0) {
      const { buffers } = this.shared;
      if (this.is(IS.PAUSED)) {
        this.#held = Buffer.from(buffers.view(buffer, 0, result));
        this.watch();
      } else if (this.relay !== null) this.#pass(buffer, result, more);
      else {
        this.#tellBytes(buffers.view(buffer, 0, result));
        if (!this.is(IS.PAUSED)) this.startReceive(!more);
      }
    } else if (result === 0) {
      this.state |= IS.PEER_ENDED;
      if (!this.is(IS.PAUSED)) this.#tellEnd();
    } else if (result === AGAIN || result === INTERRUPTED || isShortage(result)) {
      // All buffers are in use in this very turn: the next one has some.
      this.#goOnLater();
    } else {
      this.#failed('reset');
    }
  }

  /** To the other side of the relay. Reading goes on at once while that side keeps up. */
  #pass(buffer: number, length: number, more: boolean): void {
    const peer = this.peer as UringConnection;
    this.relayed += length;
    peer.forward(buffer, length);
    if (length >= BULK_OCTETS) this.state |= IS.BULK;
    if (peer.#keepsUp() && !this.is(IS.BULK)) this.startReceive(!more);
    else if (peer.is(IS.AWAITING_ROOM)) this.watch();
  }

  /** Sends now what it can of the octets in the pipe, past the queue; keeps the rest. Only where nothing waits. */
  sendNow(length: number): boolean {
    const { pipe } = this.shared;
    const sent = pipe.empty(this.descriptor, length);
    if (sent === length) return true;
    this.#outbox().add(pipe.rest(length - Math.max(0, sent)), false);
    if (sent >= 0 || sent === AGAIN) this.startAwaitingRoom();
    else this.#send();
    return false;
  }

  /** Its bulk transfer, for this turn: see bulk.ts. */
  #pump(): void {
    const peer = this.peer as UringConnection;
    if (this.is(IS.GONE | IS.PAUSED | IS.RECEIVING) || peer.#out !== null) return;
    const end = pump(this.shared.pipe, this, peer);
    if (end === 'turn-over') return this.#goOnLater();
    if (end === 'stalled') return this.watch();
    if (end === 'dry') return this.startReceive(true);
    this.state &= ~IS.BULK;
    if (end === 'over') this.startReceive(true);
    else this.#received(end, -1, false);
  }

  /** Whether it has sent, or is about to send, all that was given to it. */
  #keepsUp(): boolean {
    return !this.is(IS.AWAITING_ROOM) && (this.#out === null || this.#out.short);
  }

  #outbox(): Outbox {
    this.#out ??= new Outbox(this.shared);
    return this.#out;
  }

  #send(): void {
    if (this.#out !== null) this.startSend(this.#out);
  }

  #sent(result: number): void {
    const out = this.#out as Outbox;
    if (this.is(IS.GONE)) return out.clear(false);
    if (result === out.length) {
      out.sent();
      if (!out.empty) return this.#send();
      this.#out = null;
      this.#tellDrained();
    } else if (result >= 0 || result === AGAIN || result === INTERRUPTED || isShortage(result)) {
      out.keep(Math.max(0, result));
      this.startAwaitingRoom();
      if (this.relay !== null) this.peer?.watch();
    } else {
      this.#failed('reset');
    }
  }

  #tellDrained(): void {
    if (this.is(IS.END_WANTED)) return this.#shutdown();
    if (this.relay !== null) return this.peer?.readOn();
    if (!this.is(IS.DRAIN_OWED)) return;
    this.state &= ~IS.DRAIN_OWED;
    this.#guard(() => this.handler.onDrain());
  }

  #tellBytes(bytes: Uint8Array): void {
    if (this.relay !== null) {
      this.relayed += bytes.length;
      this.peer?.write(bytes);
      return;
    }
    try {
      this.handler.onBytes(bytes);
    } catch (error) {
      this.#threw(error);
    }
  }

  #tellEnd(): void {
    this.state |= IS.END_TOLD;
    if (this.relay !== null) this.peer?.end();
    else this.#guard(() => this.handler.onEnd());
    if (this.is(IS.ENDED) && !this.is(IS.GONE)) this.#goOnLater();
  }

  /** Our direction is over. Where the peer's is as well, closing says so. */
  #shutdown(): void {
    this.state |= IS.ENDED;
    if (this.is(IS.END_TOLD)) this.#goOnLater();
    else this.shared.libc.shutdown(this.descriptor);
  }

  #closedInOrder(): void {
    const { handler, relay } = this;
    this.destroy();
    this.#guarded(() => (relay === null ? handler.onClose('ended') : relay.sideClosed(this, 'ended')));
  }

  #failed(reason: CloseReason): void {
    if (this.is(IS.GONE)) return;
    const { handler, relay } = this;
    this.#failure = null;
    this.destroy();
    this.#guarded(() => (relay === null ? handler.onClose(reason) : relay.sideClosed(this, reason)));
  }

  #goOnLater(): void {
    if (this.is(IS.QUEUED)) return;
    this.state |= IS.QUEUED;
    this.shared.later.push(this);
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#threw(error);
    }
  }

  /** The last word: what throws now is reported only. */
  #guarded(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.shared.onHandlerError(error);
    }
  }

  /** A handler threw: its session must not live on half-told. */
  #threw(error: unknown): void {
    const { handler } = this;
    this.destroy();
    this.shared.onHandlerError(error);
    this.#guarded(() => handler.onClose('failed'));
  }
}
