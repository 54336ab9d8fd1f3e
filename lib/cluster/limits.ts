/** The fixed times and bounds of the cluster, with the relations that must hold between them. */

import { MAX_BACKENDS } from '../core/limits.ts';

/** Milliseconds between two exchanges of counts; what changed meanwhile goes in one write. */
export const EXCHANGE_MS = 100;
/** Milliseconds for which Redis gives the same sum again, so that a large cluster is not added up for each asker. */
export const SUM_AGE_MS = 50;
/** Milliseconds after which an instance writes its counts again although nothing changed. */
export const HEARTBEAT_MS = 1_000;
/** Milliseconds for which counts are believed without a heartbeat, by the clock of Redis. */
export const COUNTS_LEASE_MS = 5_000;
/** Milliseconds over which the sessions begun a second are averaged for the others. */
export const RATE_FADE_MS = 2_000;
/** Milliseconds an instance that ends takes at most to say good-bye; then its leases end by themselves. */
export const LEAVE_MS = 1_000;
/** Milliseconds any one command may take; later answers are thrown away. */
export const COMMAND_MS = 3_000;
/** Milliseconds after which a command that was refused, and that nobody has sent since, is no fault any more. */
export const FAULT_MS = 10_000;
/** Milliseconds a connection with questions open may be silent before it is dropped and made anew. */
export const SILENCE_MS = 4_000;
/** Milliseconds a connection to Redis may take to come about. */
export const CONNECT_MS = 3_000;
/** The longest pause between two attempts to connect, in milliseconds; half of it is chance. */
export const RECONNECT_MS = 2_000;

/** Milliseconds between two exchanges of what clients have. */
export const CLIENT_EXCHANGE_MS = 200;
/** Milliseconds for which what an instance says of a client counts elsewhere, and its key is kept in Redis. */
export const CLIENT_LEASE_MS = 5_000;
/** Clients of a listener that an instance speaks of at a time: those nearest to their limits. */
export const SHARED_CLIENTS = 2_000;
/** Clients it speaks of in one exchange, and in one command. */
export const CLIENTS_AN_EXCHANGE = 512;
export const CLIENTS_A_COMMAND = 128;

/** Milliseconds for which slots of a limit over the cluster are an instance's, by the clock of Redis. */
export const SLOT_LEASE_MS = 30_000;
/** The part of that, by its own clock, in which an instance makes use of them, counted from when it asked. */
export const SLOT_USE = 5 / 6;
/** The part of it after which an instance speaks up again. The script takes silence of a twelfth for an absence. */
export const SLOT_RENEWAL = 1 / 30;
/** The part of it for which slots must have been idle before they are given back, unless others need them. */
export const SLOT_IDLE = 1 / 6;
/** Backends in one command. */
export const SLOT_BACKENDS_A_COMMAND = 64;
/** Clients of sticky pools that one command asks about, or tells of. */
export const STICKY_KEYS_A_COMMAND = 256;
/** Such questions that are on their way at a time; beyond them nobody is asked. */
export const STICKY_COMMANDS = 64;
/** Milliseconds until Redis, which was too slow for a session to wait for, is tried again. */
export const STICKY_RETRY_MS = 250;
/** Milliseconds for which it has been too slow, or in time again, before the log says so. */
export const STICKY_TOLD_MS = 2_000;
/** Octets of the name of a backend; longer ones are nonsense. */
export const STICKY_NAME_OCTETS = 256;

/** Milliseconds between two exchanges of what checks have found; what has changed here is told at once. */
export const CHECKS_EXCHANGE_MS = 500;
/** Milliseconds for which what an instance has found counts without being said again, by the clock of Redis. */
export const CHECKS_LEASE_MS = 5_000;
/** Characters of an instance's name that are shown. */
export const CHECKS_NAME_OCTETS = 128;

/** Milliseconds between two looks at the keys of session tickets. */
export const TICKETS_EXCHANGE_MS = 5_000;
/** Milliseconds before the end of a period in which the next key is made. */
export const TICKETS_LEAD_MS = 300_000;

/** Instances of one cluster that are counted; what lies in Redis beyond them is nonsense. */
export const MAX_INSTANCES = 1_000;
/** Octets of the counts of one instance (all of MAX_BACKENDS with names of usual length fit). */
export const REPORT_OCTETS = 131_072;
/** Sessions one instance may claim at one backend; more is nonsense. */
export const MAX_SESSIONS = 10_000_000;

/** Words of operators that the cluster remembers: two for each backend there can be. */
export const MAX_WORDS = 2 * MAX_BACKENDS;
/** Octets of the name of a word: kind, pool and backend, percent-encoded. */
export const WORD_NAME_OCTETS = 512;

/** Milliseconds between two signs of life of an instance among the cluster's members. */
export const MEMBER_BEAT_MS = 1_000;
/** Milliseconds after which an instance looks who else is there, if nobody asks before. */
export const MEMBERS_LOOK_MS = 10_000;
/** Milliseconds for which what was seen of the members answers whoever asks. */
export const MEMBERS_AGE_MS = 1_000;
/** Octets of what an instance says of itself. */
export const MEMBER_OCTETS = 8_192;
/** Pools whose configuration is told one by one; those of larger configurations are compared as a whole. */
export const MEMBER_POOLS = 64;

function holds(relation: boolean, text: string): void {
  if (!relation) throw new Error(`cluster limits: ${text}`);
}
holds(2 * EXCHANGE_MS + SUM_AGE_MS < 300, 'a change is seen by all within 300 ms');
holds(COMMAND_MS + CHECKS_EXCHANGE_MS < CHECKS_LEASE_MS, 'one slow command does not end a lease on checks');
holds(COMMAND_MS + HEARTBEAT_MS < COUNTS_LEASE_MS, 'one slow command does not end a lease');
holds(COMMAND_MS + HEARTBEAT_MS < CLIENT_LEASE_MS, 'one slow command does not end a lease on clients');
holds(COMMAND_MS + 2 * TICKETS_EXCHANGE_MS < TICKETS_LEAD_MS, 'all have a ticket key before it is used');
holds(SLOT_LEASE_MS * SLOT_USE + COMMAND_MS < SLOT_LEASE_MS, 'slots are left before others get them');
holds(SLOT_RENEWAL * 2 < 1 / 12, 'an instance is not taken for absent when it renews in time');
holds(
  SHARED_CLIENTS <= (HEARTBEAT_MS / CLIENT_EXCHANGE_MS) * CLIENTS_AN_EXCHANGE,
  'every shared client is spoken of once a heartbeat',
);
