import type { Phase } from '../core/termination.ts';

/**
 * Where a session is.
 *
 *     accepting ──► selecting ⇄ connecting ──► handshaking ──► relaying
 *         │             ▲            │                             ▲
 *         └──► routing ─┘            └─────────────────────────────┘
 *
 * By `routing`, and from there without `handshaking`, where the name in TLS chooses the pool. All but `relaying` may go to
 * `closing`: the last word to the client is out, and it is given a moment to read it and leave. Any state may also go to
 * `closed` directly.
 */
export type SessionState = Phase | 'closing' | 'closed';

const MAY_FOLLOW: Readonly<Record<SessionState, readonly SessionState[]>> = {
  accepting: ['routing', 'selecting', 'closing', 'closed'],
  routing: ['selecting', 'closing', 'closed'],
  selecting: ['connecting', 'closing', 'closed'],
  connecting: ['selecting', 'connecting', 'handshaking', 'relaying', 'closing', 'closed'],
  handshaking: ['relaying', 'closing', 'closed'],
  relaying: ['closed'],
  closing: ['closed'],
  closed: [],
};

/** Throws for a way that the picture does not show: a fault of the program, which ends the one session. */
export function assertTransition(from: SessionState, to: SessionState): void {
  if (!MAY_FOLLOW[from].includes(to)) throw new Error(`a session may not go from ${from} to ${to}`);
}

/** No backend has been chosen: what is said to the client is ours to say. */
export function isWithoutBackend(state: SessionState): boolean {
  return state === 'accepting' || state === 'routing' || state === 'selecting';
}
