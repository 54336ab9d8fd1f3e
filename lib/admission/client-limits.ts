import type { Address } from '../core/address.ts';
import { createClientKey, readClientKey } from './client-key.ts';
import { type Bounds, enterTable, sessionsAt, TOO_FAST } from './client-slots.ts';
import { type ClientTable, openClientTable, WAYS } from './client-table.ts';

/** Bounds for each client of a listener; a client is an IPv4 address, or an IPv6 network of `ipv6Prefix` bits. */
export interface PerClientLimits {
  /** Sessions at a time; Infinity for no bound. */
  readonly connections: number;
  /** New sessions: `count` at once, and then as many again over each `perMs`. Null for no bound. */
  readonly rate: { readonly count: number; readonly perMs: number } | null;
  /** 1 to 128. A household or a host has a whole network of IPv6 addresses, so one address is no client. */
  readonly ipv6Prefix: number;
  /** Where the clients are remembered for all shards. Without it, and with a bound, this shard has a table of its own. */
  readonly table?: SharedArrayBuffer | null;
}

/** A session that was counted. */
export interface Client {
  /** Null where nothing was counted, as nothing was limited. */
  readonly table: ClientTable | null;
  readonly slot: number;
}

export interface ClientLimits {
  /**
   * Counts a session in, or says which bound forbids it. Refused sessions do not count against the rate. Where so many
   * clients have sessions that a new one cannot be remembered, that one is refused: `client-limit`.
   */
  enter(address: Address, nowMs: number): Client | 'client-limit' | 'client-rate';
  /** The session is over. Once for each client that was let in. */
  leave(client: Client): void;
  /**
   * Other limits. Clients stay known, unless they are told apart by another prefix from now on; sessions that came in
   * before there was any limit are not counted afterwards.
   */
  update(limits: PerClientLimits): void;
  /** Clients remembered: with sessions, or with a rate that is not paid off yet. Walks the table. */
  tracked(nowMs: number): number;
}

const UNCOUNTED: Client = { table: null, slot: -1 };

/** `shard` is this shard's number in the tables it is given. */
export function createClientLimits(initial: PerClientLimits, shard = 0): ClientLimits {
  const key = createClientKey();
  let limits = initial;
  let bounds = boundsOf(limits);
  let table = tableFor(limits, null, shard);

  return {
    enter(address, nowMs) {
      if (table === null) return UNCOUNTED;
      readClientKey(address, limits.ipv6Prefix, key);
      const slot = enterTable(table, key, bounds, nowMs);
      if (slot >= 0) return { table, slot };
      return slot === TOO_FAST ? 'client-rate' : 'client-limit';
    },

    leave({ table: from, slot }) {
      if (from === null) return;
      // Nobody else writes this cell while it is not zero, so the lock is not needed, and a session can always go.
      const at = slot * from.shards + from.shard;
      Atomics.store(from.held, at, (from.held[at] as number) - 1);
      Atomics.store(from.changed, Math.floor(slot / WAYS), 1);
    },

    update(next) {
      limits = next;
      bounds = boundsOf(next);
      table = tableFor(next, table, shard);
    },

    tracked: nowMs => (table === null ? 0 : trackedClients(table, nowMs)),
  };
}

/** Clients with sessions here, or with a rate that is not paid off yet. Walks the whole table. */
export function trackedClients(table: ClientTable, nowMs: number): number {
  let found = 0;
  for (let slot = 0; slot < table.marks.length; slot++) {
    if (table.marks[slot] === 0) continue;
    if (sessionsAt(table, slot) > 0 || (table.paidOffAtMs[slot] as number) > nowMs) found++;
  }
  return found;
}

/** The table in use from now on; null until something is limited, since nobody then needs to be looked for. */
function tableFor(limits: PerClientLimits, known: ClientTable | null, shard: number): ClientTable | null {
  const { table: memory } = limits;
  if (memory) return known?.memory === memory ? known : openClientTable(memory, shard);
  // Who was counted stays counted, should there be limits again.
  if (known !== null || !hasClientLimits(limits)) return known;
  return openClientTable();
}

/** Whether anything is limited. */
export function hasClientLimits({ connections, rate }: PerClientLimits): boolean {
  return rate !== null || connections !== Number.POSITIVE_INFINITY;
}

/**
 * Generic cell rate algorithm: one number a client, no window to reset, bursts of `count` allowed. A session costs
 * `costMs` of time; `burstMs` may be owed.
 */
export function boundsOf({ connections, rate }: PerClientLimits): Bounds {
  if (rate === null) return { connections, costMs: 0, burstMs: 0 };
  const costMs = rate.perMs / rate.count;
  // The costs of a whole burst may add up to a little more than the whole: the last session must not pay for that.
  return { connections, costMs, burstMs: rate.perMs + costMs / 1_000 };
}
