import type { Completion } from './ring.ts';

/** What an operation was for; three bits of its tag. */
export const KIND = {
  receive: 0,
  send: 1,
  connect: 2,
  writable: 3,
  accept: 4,
  broken: 5,
  wake: 6,
  ignored: 7,
} as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

const KIND_BITS = 3;
const KIND_MASK = (1 << KIND_BITS) - 1;

/** Whoever started an operation hears how it ended. */
export interface OperationOwner {
  completed(kind: Kind, completion: Completion): void;
}

/**
 * Who is told of which completion. An owner keeps its slot until the last of its operations has completed, so that a
 * completion can never reach a later owner: there is no number that is used again too early.
 */
export class Operations {
  readonly #owners: (OperationOwner | null)[] = [];
  readonly #free: number[] = [];

  /** A slot, for as long as the owner has operations under way. */
  enter(owner: OperationOwner): number {
    const slot = this.#free.pop();
    if (slot === undefined) return this.#owners.push(owner) - 1;
    this.#owners[slot] = owner;
    return slot;
  }

  leave(slot: number): void {
    this.#owners[slot] = null;
    this.#free.push(slot);
  }

  dispatch(completion: Completion): void {
    const kind = (completion.tag & KIND_MASK) as Kind;
    if (kind === KIND.ignored) return;
    this.#owners[completion.tag >>> KIND_BITS]?.completed(kind, completion);
  }
}

export function tagOf(slot: number, kind: Kind): number {
  return (slot << KIND_BITS) | kind;
}
