import { type Microseconds, microseconds } from '../core/clock.ts';
import { type ShardStats, terminationColumn } from '../core/shard-stats.ts';
import type { Relay } from '../transport/contract.ts';
import type { HandshakeCount } from './handshake.ts';
import { type Ending, type HandshakeFacts, handshakeFacts, NO_HANDSHAKE } from './record.ts';

/** Idleness is looked for this often within `timeouts.idle`: a session ends at most an eighth too late. */
export const IDLE_LOOKS = 8;

/** What a session has moved and what was learnt on the way, for counters, record and the search for idleness. */
export class SessionAccount {
  /** Bytes in all, as of the last `count`. */
  bytesFromClient = 0;
  bytesFromBackend = 0;
  facts: HandshakeFacts = NO_HANDSHAKE;
  /** From our greeting or the backend's to the relay, or to the end; null before. */
  handshakeUs: Microseconds | null = null;
  readonly #stats: ShardStats;
  /** The listener's row. */
  readonly #row: number;
  /** The session's age then. */
  #greetedUs: Microseconds = 0;
  #beforeRelayFromClient = 0;
  #beforeRelayFromBackend = 0;
  /** Bytes in all at the last look for idleness, and looks since that found no more. */
  #looked = 0;
  #idleLooks = 0;

  constructor(stats: ShardStats, row: number) {
    this.#stats = stats;
    this.#row = row;
  }

  opened(): void {
    this.#stats.listeners.add(this.#row, 'accepted');
  }

  closed({ cause, phase }: Ending, ageMs: number): void {
    this.#stats.listeners.add(this.#row, terminationColumn(cause, phase));
    this.#stats.sessionSeconds.observe(this.#row, ageMs / 1_000);
  }

  /** The client is greeted, at this age of the session. */
  greeted(ageMs: number): void {
    this.#greetedUs = microseconds(ageMs);
  }

  /** Keeps what the handshake came to, so that it can be let go: an idle relay should weigh nothing. */
  closeHandshake(handshake: HandshakeCount, recorded: boolean, ageMs: number): void {
    this.handshakeUs = microseconds(ageMs) - this.#greetedUs;
    const { facts } = handshake;
    if (facts.starttls !== 'not-offered') this.#stats.listeners.add(this.#row, 'starttlsOffered');
    if (facts.starttls === 'accepted') this.#stats.listeners.add(this.#row, 'starttlsUsed');
    this.#beforeRelayFromClient = handshake.bytesFromClient;
    this.#beforeRelayFromBackend = handshake.bytesFromBackend;
    if (recorded) this.facts = handshakeFacts(facts);
  }

  /** Adds to the counters what has moved since the last call. Anybody may ask, at any time. */
  count(relay: Relay | null): void {
    const fromClient = this.#beforeRelayFromClient + (relay?.bytesFromFirst ?? 0);
    const fromBackend = this.#beforeRelayFromBackend + (relay?.bytesFromSecond ?? 0);
    this.#stats.listeners.add(this.#row, 'bytesFromClients', fromClient - this.bytesFromClient);
    this.#stats.listeners.add(this.#row, 'bytesFromBackends', fromBackend - this.bytesFromBackend);
    this.bytesFromClient = fromClient;
    this.bytesFromBackend = fromBackend;
  }

  /** Looks for idleness: true once IDLE_LOOKS looks in a row have seen no byte move. Only the search for it asks. */
  idle(relay: Relay | null): boolean {
    this.count(relay);
    const moved = this.bytesFromClient + this.bytesFromBackend;
    this.#idleLooks = moved > this.#looked ? 0 : this.#idleLooks + 1;
    this.#looked = moved;
    return this.#idleLooks >= IDLE_LOOKS;
  }
}
