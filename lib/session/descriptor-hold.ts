import type { DescriptorBudget } from '../admission/descriptor-budget.ts';

/** The file descriptors one session holds of the shard's budget; given back once. */
export class DescriptorHold {
  readonly #budget: DescriptorBudget;
  /** Ends the session, and so gives back what is held; null unless its client lingers. */
  #leave: (() => void) | null = null;
  #held: 'none' | 'session' | 'farewell' = 'none';

  constructor(budget: DescriptorBudget) {
    this.#budget = budget;
  }

  /** Room for a session's two sockets; false where there is none. */
  enter(): boolean {
    if (this.#budget.enter()) this.#held = 'session';
    return this.#held === 'session';
  }

  /** Room for a client that reads its refusal: the session's own, or one of those kept free for it, until it must go: `leave`. */
  linger(leave: () => void): void {
    if (this.#held === 'session') return;
    this.#leave = leave;
    this.#budget.linger(leave);
    this.#held = 'farewell';
  }

  leave(): void {
    if (this.#held === 'session') this.#budget.leave();
    else if (this.#leave !== null) this.#budget.lingered(this.#leave);
    this.#held = 'none';
  }
}
