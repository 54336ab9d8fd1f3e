import { randomBytes } from 'node:crypto';
import { TICKET_KEY_OCTETS } from './listener-tls.ts';

/**
 * The keys that session tickets are sealed with: the first seals new ones, the others are still accepted. Who has a key
 * can read what it protected, so each lives two periods and is then forgotten.
 */
export interface TicketKeys {
  readonly keys: readonly Uint8Array[];
  /** Makes a new key; the one before is accepted on, those before that no longer. */
  rotate(): void;
  /**
   * Takes keys that others have, too: sessions then go on at any of them. Throws a RangeError unless each has
   * TICKET_KEY_OCTETS.
   */
  set(keys: readonly Uint8Array[]): void;
  /** How often another key has begun to seal. */
  readonly changes: number;
}

/** Milliseconds between two rotations. */
export const TICKET_KEY_PERIOD_MS = 12 * 3_600_000;
const KEPT = 2;

/** `onChange`: the keys are others now. */
export function createTicketKeys(onChange: () => void = () => {}): TicketKeys {
  let keys: readonly Uint8Array[] = [freshTicketKey()];
  let changes = 0;
  const use = (next: readonly Uint8Array[]): void => {
    if (!isSame(next[0], keys[0])) changes++;
    keys = next;
    onChange();
  };
  return {
    get keys() {
      return keys;
    },
    get changes() {
      return changes;
    },
    rotate() {
      use([freshTicketKey(), ...keys].slice(0, KEPT));
    },
    set(shared) {
      if (shared.length === 0 || shared.some(key => key.length !== TICKET_KEY_OCTETS)) {
        throw new RangeError(`ticket keys have ${TICKET_KEY_OCTETS} octets each, and there is at least one`);
      }
      use(shared.map(key => Uint8Array.from(key)));
    },
  };
}

export function freshTicketKey(): Uint8Array {
  // A copy: small buffers of Node are views into a larger one, and what is posted to a worker is all of it.
  return Uint8Array.from(randomBytes(TICKET_KEY_OCTETS));
}

export function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return one !== undefined && other !== undefined && Buffer.compare(one, other) === 0;
}
