/**
 * The keys of one cluster. All begin with `smtplb:{name}:`, which an ACL can be limited to, and share the hash tag
 * `{name}`, so that scripts find them on one node of a Redis Cluster.
 */
export interface Keys {
  /** What all of them begin with, for those of which there are many. */
  readonly prefix: string;
  readonly leases: string;
  readonly counts: string;
  readonly sum: string;
  readonly words: string;
  readonly members: string;
  readonly slots: string;
  readonly slotLeases: string;
  readonly slotWants: string;
  /** The slots of one backend, as `pool/backend`. */
  slotsOf(backend: string): string;
}

/** For the cluster of that name, as the configuration has it. */
export function keysOf(name: string): Keys {
  const prefix = `smtplb:{${name}}:`;
  const key = (rest: string) => `${prefix}${rest}`;
  return {
    prefix,
    leases: key('leases'),
    counts: key('counts'),
    sum: key('sum'),
    words: key('words'),
    members: key('members'),
    slots: key('slots'),
    slotLeases: key('slots:leases'),
    slotWants: key('slots:wants'),
    slotsOf: backend => key(`slots:of:${backend}`),
  };
}
