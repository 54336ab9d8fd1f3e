/** Collects what a shard has to tell, so that the control plane is called once a tick and not once a session. */
export interface Batch<T> {
  add(item: T): void;
  /** Hands over what has come together, if anything. */
  flush(): void;
}

export function createBatch<T>(size: number, deliver: (items: readonly T[]) => void): Batch<T> {
  let items: T[] = [];
  const flush = (): void => {
    if (items.length === 0) return;
    const full = items;
    items = [];
    deliver(full);
  };
  return {
    add(item) {
      items.push(item);
      if (items.length >= size) flush();
    },
    flush,
  };
}
