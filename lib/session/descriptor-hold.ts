import type { DescriptorBudget } from '../admission/descriptor-budget.ts';

/** The file descriptors one session holds of the shard's budget; given back once. */
export class DescriptorHold {
  readonly #budget: DescriptorBudget;
  #held: 'none' | 'session' | 'farewell' = 'none';

  constructor(budget: DescriptorBudget) {
    this.#budget = budget;
  }

  /** Room for a session's two sockets; false where there is none. */
  enter(): boolean {
    if (this.#budget.enter()) this.#held = 'session';
    return this.#held === 'session';
  }

  /** Room for a client that reads its refusal: the session's own, or one of those kept free for it. */
  linger(): boolean {
    if (this.#held === 'none' && this.#budget.linger()) this.#held = 'farewell';
    return this.#held !== 'none';
  }

  leave(): void {
    if (this.#held === 'session') this.#budget.leave();
    else if (this.#held === 'farewell') this.#budget.lingered();
    this.#held = 'none';
  }
}
