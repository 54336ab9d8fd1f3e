/** What can stand in one `Chain` at a time. The fields are the chain's to write; null while it stands in none. */
export interface Link<T> {
  previous: T | null;
  next: T | null;
}

/**
 * Objects in the order they came, each of which may go at any time. Their neighbours are all that is kept, in the objects
 * themselves: nothing is allocated, and who has gone is held by nobody. A `Set` would hold on to many of those: its
 * tables are replaced again and again, and one that has grown old keeps its successors from being collected, with all
 * that was ever in them.
 */
export class Chain<T extends Link<T>> {
  #first: T | null = null;
  #last: T | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Must not stand in a chain already. */
  add(item: T): void {
    item.previous = this.#last;
    if (this.#last === null) this.#first = item;
    else this.#last.next = item;
    this.#last = item;
    this.#size++;
  }

  /** Must stand in this one. */
  remove(item: T): void {
    const { previous, next } = item;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    item.previous = item.next = null;
    this.#size--;
  }

  /** The oldest first, as they are now: those who go meanwhile are among them. */
  all(): T[] {
    const found: T[] = [];
    for (let item = this.#first; item !== null; item = item.next) found.push(item);
    return found;
  }
}
