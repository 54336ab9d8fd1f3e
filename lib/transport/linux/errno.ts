import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { CloseReason } from '../contract.ts';

const {
  EACCES,
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAGAIN,
  EBUSY,
  ECONNABORTED,
  ECONNREFUSED,
  ECONNRESET,
  EHOSTUNREACH,
  EINPROGRESS,
  EINTR,
  EMFILE,
  ENETDOWN,
  ENETUNREACH,
  ENFILE,
  ENOBUFS,
  ENOENT,
  ENOMEM,
  EPERM,
  EPIPE,
  EPROTO,
  ETIME,
  ETIMEDOUT,
} = constants.errno;

/** Linux's own, missing from Node's list. */
const EHOSTDOWN = 112;

/**
 * What a system call gives: its result, zero or more, or the error's number below zero. The number is read together
 * with the result, so that nothing can come between the two.
 */
export type Result = number;

/** Nothing to read, no room to write, nobody to accept: wait for the kernel's word. */
export const AGAIN: Result = -EAGAIN;
/** A signal came in between: once more. */
export const INTERRUPTED: Result = -EINTR;
/** A connection is being established, and the kernel will tell. */
export const IN_PROGRESS: Result = -EINPROGRESS;
/** Not allowed; for a transparent source: CAP_NET_ADMIN is missing. */
export const NOT_PERMITTED: Result = -EPERM;

/** The kernel is short of memory for sockets. It gives no sign when that is over: ask again in a moment. */
export function isShortage(result: Result): boolean {
  return result === -ENOBUFS || result === -ENOMEM;
}

/** Waits in the kernel that fail in a row, as no wait should, before there is nothing to wait on any more. */
const HOPELESS = 8;

/**
 * Counts waits in the kernel that fail for another reason than that they were cut short, or not even begun. One alone says
 * little: the error's number is asked for after the call, and the runtime may have made a call of its own in between.
 */
export class WaitFailures {
  #inARow = 0;

  /** Looks at the result of a wait; true where the kernel has said again and again that it is no use. */
  hopeless(result: Result): boolean {
    this.#inARow = result >= 0 || isPassing(result) ? 0 : this.#inARow + 1;
    return this.#inARow >= HOPELESS;
  }
}

/** The next wait may do better. */
function isPassing(result: Result): boolean {
  return (
    result === AGAIN || result === INTERRUPTED || result === -ETIME || result === -EBUSY || isShortage(result)
  );
}

/**
 * What `accept4` says of one connection that failed while it waited, and not of the listening socket (accept(2),
 * "Error handling"): the next one may be sound. A local firewall's EPERM is among them.
 */
export function isOneClientsFault(result: Result): boolean {
  return ONE_CLIENTS.has(-result);
}

const ONE_CLIENTS: ReadonlySet<number> = new Set([
  ECONNABORTED,
  EINTR,
  EPERM,
  EPROTO,
  ENETDOWN,
  ENETUNREACH,
  EHOSTDOWN,
  EHOSTUNREACH,
  ETIMEDOUT,
]);

/** What an error means for a connection that is being dialled. Established, whatever comes is `reset`. */
export function dialReason(result: Result): CloseReason {
  return DIAL_REASONS.get(-result) ?? 'failed';
}

const DIAL_REASONS: ReadonlyMap<number, CloseReason> = new Map<number, CloseReason>([
  [ECONNREFUSED, 'refused'],
  [ENOENT, 'refused'], // a Unix socket that is not there
  [EAGAIN, 'refused'], // a Unix socket whose backlog is full
  [ECONNRESET, 'reset'],
  [EPIPE, 'reset'],
  [EHOSTUNREACH, 'unreachable'],
  [ENETUNREACH, 'unreachable'],
  [EHOSTDOWN, 'unreachable'],
  [ENETDOWN, 'unreachable'],
  [ETIMEDOUT, 'timed-out'],
  [EADDRNOTAVAIL, 'no-ports'],
  [EADDRINUSE, 'no-ports'], // a certain port was asked for, and is taken
  [EMFILE, 'no-descriptors'],
  [ENFILE, 'no-descriptors'],
  // A firewall of this host may refuse a single connection; that this process may not do a thing at all is told
  // where the thing is tried.
  [EPERM, 'failed'],
  [EACCES, 'failed'],
]);

/** `ECONNRESET` for its result. */
export function errorName(result: Result): string {
  return getSystemErrorName(result);
}

/** As Node's own system errors are: `code`, `errno`, `syscall`, and what it was about in the message. */
export function systemError(syscall: string, result: Result, about: string): NodeJS.ErrnoException {
  const code = errorName(result);
  return Object.assign(new Error(`${syscall} ${code} ${about}`), { code, errno: result, syscall });
}

/** Whether a system error says that the kernel has no memory for what was asked, or may not give it. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'ENOMEM';
}
