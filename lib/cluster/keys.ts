/**
 * The keys of one cluster. All begin with `smtplb:{name}:`, which an ACL can be limited to, and share the hash tag
 * `{name}`, so that scripts find them on one node of a Redis Cluster.
 */
export interface Keys {
  readonly leases: string;
  readonly counts: string;
  readonly sum: string;
  readonly words: string;
  readonly members: string;
}

/** For the cluster of that name, as the configuration has it. */
export function keysOf(name: string): Keys {
  const key = (rest: string) => `smtplb:{${name}}:${rest}`;
  return {
    leases: key('leases'),
    counts: key('counts'),
    sum: key('sum'),
    words: key('words'),
    members: key('members'),
  };
}
