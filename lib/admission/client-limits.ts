import { type Address, ipBytes } from '../core/address.ts';
import { TRACKED_CLIENTS } from '../core/limits.ts';

/** Bounds for each client of a listener; a client is an IPv4 address, or an IPv6 network of `ipv6Prefix` bits. */
export interface PerClientLimits {
  /** Sessions at a time; Infinity for no bound. */
  readonly connections: number;
  /** New sessions: `count` at once, and then as many again over each `perMs`. Null for no bound. */
  readonly rate: { readonly count: number; readonly perMs: number } | null;
  /** 1 to 128. A household or a host has a whole network of IPv6 addresses, so one address is no client. */
  readonly ipv6Prefix: number;
}

/** What is remembered of one client. */
export interface Client {
  readonly key: string;
  connections: number;
  /** When the client's past sessions will be paid off, in monotonic ms (GCRA's theoretical arrival time). */
  paidOffAtMs: number;
}

export interface ClientLimits {
  /** Counts a session in, or says which bound forbids it. Refused sessions do not count against the rate. */
  enter(address: Address, nowMs: number): Client | 'client-limit' | 'client-rate';
  /** The session is over. */
  leave(client: Client, nowMs: number): void;
  /** Other limits. Clients stay known, unless they are told apart by another prefix from now on. */
  update(limits: PerClientLimits): void;
  /** Clients remembered. */
  readonly tracked: number;
}

/** Clients still remembered after some had to be forgotten early. */
const KEPT_CLIENTS = TRACKED_CLIENTS - TRACKED_CLIENTS / 8;

export function createClientLimits(initial: PerClientLimits): ClientLimits {
  const clients = new Map<string, Client>();
  let limits = initial;
  let { costMs, burstMs } = cells(limits);

  const forgetIdle = (nowMs: number): void => {
    for (const client of clients.values()) {
      if (client.connections === 0 && client.paidOffAtMs <= nowMs) clients.delete(client.key);
    }
    // A flood from more addresses than fit: the oldest without a session go, and their rate starts anew. Many at once,
    // or every further stranger would cost a walk over all of them.
    for (const client of clients.values()) {
      if (clients.size < KEPT_CLIENTS) return;
      if (client.connections === 0) clients.delete(client.key);
    }
  };

  return {
    enter(address, nowMs) {
      const key = clientKey(address, limits.ipv6Prefix);
      const client = clients.get(key) ?? { key, connections: 0, paidOffAtMs: nowMs };
      if (client.connections >= limits.connections) return 'client-limit';
      const paidOffAtMs = Math.max(client.paidOffAtMs, nowMs) + costMs;
      if (paidOffAtMs - nowMs > burstMs) return 'client-rate';
      if (client.connections === 0 && !clients.has(key)) {
        if (clients.size >= TRACKED_CLIENTS) forgetIdle(nowMs);
        clients.set(key, client);
      }
      client.paidOffAtMs = paidOffAtMs;
      client.connections++;
      return client;
    },

    leave(client, nowMs) {
      client.connections--;
      if (client.connections === 0 && client.paidOffAtMs <= nowMs) clients.delete(client.key);
    },

    update(next) {
      limits = next;
      ({ costMs, burstMs } = cells(next));
    },

    get tracked() {
      return clients.size;
    },
  };
}

/** Generic cell rate algorithm: one number a client, no window to reset, bursts of `count` allowed. */
function cells({ rate }: PerClientLimits): { costMs: number; burstMs: number } {
  if (rate === null) return { costMs: 0, burstMs: 0 };
  const costMs = rate.perMs / rate.count;
  // The costs of a whole burst may add up to a little more than the whole: the last session must not pay for that.
  return { costMs, burstMs: rate.perMs + costMs / 1_000 };
}

/** Who is counted together: the address itself, or the IPv6 network's bits. */
export function clientKey(address: Address, ipv6Prefix: number): string {
  if (address.family === 'unix') return 'unix';
  if (address.family === 'ipv4' || ipv6Prefix === 128) return address.host;
  const bytes = ipBytes(address.host);
  const whole = ipv6Prefix >> 3;
  if (ipv6Prefix % 8 !== 0) bytes[whole] = (bytes[whole] as number) & (0xff00 >> (ipv6Prefix % 8));
  const kept = bytes.subarray(0, Math.ceil(ipv6Prefix / 8));
  return `${Buffer.from(kept).toString('hex')}/${ipv6Prefix}`;
}
