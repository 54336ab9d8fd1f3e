import { createGreetingGate, type GreetingVerdict } from '../smtp/greeting.ts';
import { isGreeting } from '../smtp/observer.ts';
import { NOTHING } from './at-rest.ts';

/** What a backend says while it is to greet, kept until it is known what that comes to; see GreetingGate. */
export class BackendGreeting {
  /** All of it, in order. What decided is a view, valid for as long as the call that brought it. */
  pieces: readonly Uint8Array[] = NOTHING;
  readonly #gate = createGreetingGate();

  get verdict(): GreetingVerdict {
    return this.#gate.verdict;
  }

  get code(): number {
    return this.#gate.code;
  }

  /** The first line is good. What came with it may already show that the greeting as a whole is not. */
  get goesOn(): boolean {
    return this.#gate.last || isGreeting(this.pieces);
  }

  offer(bytes: Uint8Array): GreetingVerdict {
    const verdict = this.#gate.offer(bytes);
    const piece = verdict === 'more' ? Uint8Array.from(bytes) : bytes;
    this.pieces = this.pieces.length === 0 ? [piece] : [...this.pieces, piece];
    return verdict;
  }
}
