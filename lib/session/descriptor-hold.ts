import type { DescriptorBudget } from '../admission/descriptor-budget.ts';

/** The file descriptors one session holds of the shard's budget; given back once. */
export class DescriptorHold {
  readonly #budget: DescriptorBudget;
  readonly #leave: () => void;
  #held: 'none' | 'session' | 'farewell' = 'none';

  /** `leave` ends the session, and so gives back what is held. */
  constructor(budget: DescriptorBudget, leave: () => void) {
    this.#budget = budget;
    this.#leave = leave;
  }

  /** Room for a session's two sockets; false where there is none. */
  enter(): boolean {
    if (this.#budget.enter()) this.#held = 'session';
    return this.#held === 'session';
  }

  /** Room for a client that reads its refusal: the session's own, or one of those kept free for it, until it must go. */
  linger(): void {
    if (this.#held === 'session') return;
    this.#budget.linger(this.#leave);
    this.#held = 'farewell';
  }

  leave(): void {
    if (this.#held === 'session') this.#budget.leave();
    else if (this.#held === 'farewell') this.#budget.lingered(this.#leave);
    this.#held = 'none';
  }
}
