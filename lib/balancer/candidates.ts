import { type Board, giveBack, NO_GRANT, take } from '../core/board.ts';
import type { MonotonicMs } from '../core/clock.ts';
import { beginTrial, standing } from '../pool/passive-health.ts';
import { rampedUp } from '../pool/slow-start.ts';
import type { BackendSnapshot, PoolSnapshot } from '../pool/snapshot.ts';

/** `full`: backends would serve, but none has a free slot. `none`: no backend would serve at all. */
export type NoBackend = 'full' | 'none';

/** What a balancing algorithm needs to see of the world. */
export interface BalancerView {
  readonly board: Board;
  readonly now: MonotonicMs;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** A session's question: who it is, and which rows it has tried in vain. */
export interface SelectRequest {
  /** The client's address; what source-hash hashes. */
  readonly client: string;
  readonly triedRows: readonly number[];
  /** What the session is remembered by, where its pool is sticky; see `sticky.ts`. */
  readonly stickyKey?: string | null;
  /** The name of the backend that is remembered for it. */
  readonly preferred?: string | null;
}

/** One of the candidates; they are never empty. */
export type Algorithm = (candidates: readonly BackendSnapshot[], request: SelectRequest) => BackendSnapshot;

/** Healthy, ready, not ejected, not tried by this session. */
function serves(
  backend: BackendSnapshot,
  request: SelectRequest,
  view: BalancerView,
  nowMs: number,
): boolean {
  return (
    backend.health === 'up' &&
    backend.admin === 'ready' &&
    !request.triedRows.includes(backend.row) &&
    standing(view.board, backend.row, nowMs) !== 'ejected'
  );
}

/**
 * Lets `algorithm` choose among the pool's eligible backends, primaries before backups, and takes the slot of the
 * chosen one. Between reading the counts and taking the slot another shard may take the last one; then it chooses
 * again from what is left.
 */
export function choose(
  pool: PoolSnapshot,
  request: SelectRequest,
  view: BalancerView,
  algorithm: Algorithm,
): BackendSnapshot | NoBackend {
  const nowMs = view.now();
  let outcome: NoBackend = 'none';
  for (const backup of [false, true]) {
    const serving = servingOf(pool, backup, request, view, nowMs);
    if (serving.length > 0) outcome = 'full';
    for (;;) {
      const free = withRoom(serving, view.board);
      if (free.length === 0) break;
      const candidates = weighed(free, pool.slowStartMs, view.board, nowMs);
      const chosen = dueForTrial(candidates, view, nowMs) ?? algorithm(candidates, request);
      if (!takeSlot(chosen, view.board)) continue;
      if (standing(view.board, chosen.row, nowMs) === 'due') {
        beginTrial(view.board, chosen.row, nowMs, pool.passiveHealth);
      }
      return chosen;
    }
  }
  return outcome;
}

// Loops, for each session comes here: a closure costs more than what it does.

/** The pool's backends, or its backups, that serve. */
function servingOf(
  pool: PoolSnapshot,
  backup: boolean,
  request: SelectRequest,
  view: BalancerView,
  nowMs: number,
): readonly BackendSnapshot[] {
  const found: BackendSnapshot[] = [];
  for (const backend of pool.backends) {
    if (backend.backup === backup && serves(backend, request, view, nowMs)) found.push(backend);
  }
  return found;
}

function withRoom(backends: readonly BackendSnapshot[], board: Board): readonly BackendSnapshot[] {
  const found: BackendSnapshot[] = [];
  for (const backend of backends) if (hasRoom(backend, board)) found.push(backend);
  return found;
}

/** Below its own limit, and below what the cluster grants. Where only the grant is missing, that is said. */
function hasRoom({ row, maxConnections }: BackendSnapshot, board: Board): boolean {
  const slots = Atomics.load(board.backendSlots, row);
  if (slots >= maxConnections) return false;
  const grant = Atomics.load(board.backendGrant, row);
  if (grant === NO_GRANT || slots < grant) return true;
  Atomics.add(board.backendWants, row, 1);
  return false;
}

/**
 * Takes a slot within the backend's limit and the grant. The control plane may lower the grant between the look at it
 * and the taking: who finds that, gives the slot back; see `lowerGrant`.
 */
function takeSlot({ row, maxConnections }: BackendSnapshot, board: Board): boolean {
  const grant = Atomics.load(board.backendGrant, row);
  const limit = grant === NO_GRANT ? maxConnections : Math.min(maxConnections, grant);
  if (!take(board.backendSlots, row, limit)) return false;
  const now = Atomics.load(board.backendGrant, row);
  if (now === grant || now === NO_GRANT || Atomics.load(board.backendSlots, row) <= now) return true;
  giveBack(board.backendSlots, row);
  return false;
}

function weighed(
  backends: readonly BackendSnapshot[],
  slowStartMs: number,
  board: Board,
  nowMs: number,
): readonly BackendSnapshot[] {
  return slowStartMs === 0 ? backends : backends.map(b => rampedUp(b, slowStartMs, board, nowMs));
}

/**
 * A backend whose pause is over is tried by the next session, whatever the algorithm would say: only so does a hash
 * or a loaded pool learn that it is back. The session loses nothing, it has attempts left for the others.
 */
function dueForTrial(
  candidates: readonly BackendSnapshot[],
  view: BalancerView,
  nowMs: number,
): BackendSnapshot | undefined {
  for (const candidate of candidates) {
    if (standing(view.board, candidate.row, nowMs) === 'due') return candidate;
  }
  return undefined;
}
