import type { Address } from '../core/address.ts';
import { type Board, giveBack, take } from '../core/board.ts';
import { type Cidr, cidrSet } from '../core/cidr.ts';
import type { MonotonicMs } from '../core/clock.ts';
import type { Cause } from '../core/termination.ts';
import { type Client, createClientLimits, type PerClientLimits } from './client-limits.ts';

/** Who may come in at a listener, and how many. */
export interface AdmissionOptions {
  /** Networks that may connect; empty for everybody. */
  readonly allow: readonly Cidr[];
  /** Networks that may not, whatever `allow` says. */
  readonly deny: readonly Cidr[];
  /** Sessions of the listener at a time; Infinity for no bound. */
  readonly connections: number;
  readonly perClient: PerClientLimits;
}

export type RefusalCause = Extract<Cause, 'denied' | 'listener-limit' | 'client-limit' | 'client-rate'>;

/** One listener's door. */
export interface Admission {
  /** Lets a client in, or says why not. What is let in must `leave`. */
  enter(client: Address): Client | RefusalCause;
  leave(client: Client): void;
  /** Other lists and limits; who is in stays in, and is still known. */
  update(options: AdmissionOptions): void;
}

/**
 * `row` is the listener's on the board, where its sessions are counted over all shards; `shard` is this shard's number
 * in the table of clients, which all shards share as well (`options.perClient.table`).
 */
export function createAdmission(
  options: AdmissionOptions,
  row: number,
  board: Board,
  now: MonotonicMs,
  shard = 0,
): Admission {
  let rules = rulesOf(options);
  const perClient = createClientLimits(options.perClient, shard);
  const sessions = board.listenerSessions;

  return {
    enter(address) {
      if (rules.denied.has(address)) return 'denied';
      // A Unix socket has file permissions for a list.
      if (!rules.allowed.empty && address.family !== 'unix' && !rules.allowed.has(address)) return 'denied';
      if (!take(sessions, row, rules.connections)) return 'listener-limit';
      const client = perClient.enter(address, now());
      if (typeof client === 'string') giveBack(sessions, row);
      return client;
    },
    leave(client) {
      giveBack(sessions, row);
      perClient.leave(client);
    },
    update(next) {
      rules = rulesOf(next);
      perClient.update(next.perClient);
    },
  };
}

function rulesOf({ allow, deny, connections }: AdmissionOptions) {
  return { allowed: cidrSet(allow), denied: cidrSet(deny), connections };
}
