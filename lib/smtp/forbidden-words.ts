import { keywordTable, narrow, settle } from './keyword.ts';

/** Commands that only we may give to a backend that takes our word for who the client is. */
export const FORBIDDEN_WORDS = ['XCLIENT', 'XFORWARD', 'STARTTLS'] as const;

const TABLE = keywordTable(FORBIDDEN_WORDS);

/** Finds a forbidden word at a place, or anywhere, in octets that come one by one. */
export class ForbiddenWords {
  #candidates = TABLE.all;
  #position = 0;

  /** A word may begin with the next octet. */
  restart(): void {
    this.#candidates = TABLE.all;
    this.#position = 0;
  }

  /** Returns whether a word is whole with this octet; it need not end there. */
  follows(octet: number): boolean {
    if (this.#candidates === 0) return false;
    this.#candidates = narrow(TABLE, this.#candidates, this.#position, octet);
    this.#position++;
    return settle(TABLE, this.#candidates, this.#position) !== 0;
  }

  /** As `follows`, but a word may begin at any octet. No word's end is another's beginning by more than one octet. */
  contains(octet: number): boolean {
    const whole = this.follows(octet);
    if (this.#candidates !== 0) return whole;
    this.restart();
    return this.follows(octet);
  }
}
