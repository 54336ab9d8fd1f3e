/**
 * Limits on clients over the instances of a cluster. Each shard decides by itself, at once, by the table in its memory;
 * this, in the control plane, tells Redis what the clients near their limits have here, and writes into the table what
 * the others have. What is promised and what is not: docs/cluster.md.
 */
import type { PerClientLimits } from '../admission/client-limits.ts';
import type { MonotonicMs } from '../core/clock.ts';
import { type ClientSharing, createClientSharing, type Told } from './client-sharing.ts';
import { CLIENT_EXCHANGE_MS, CLIENT_LEASE_MS, CLIENTS_A_COMMAND, MAX_SESSIONS } from './limits.ts';
import type { Link } from './link.ts';
import { loadScript } from './script.ts';

/** A listener whose limits on clients hold over the cluster. */
export interface LimitedListener {
  /** The same on all instances. */
  readonly name: string;
  /** With its table. */
  readonly limits: PerClientLimits;
}

export interface ClientExchangeOptions {
  readonly link: Pick<Link, 'run'>;
  /** `smtplb:{mail-edge}:`; the braces keep all keys in one slot of a Redis Cluster. */
  readonly prefix: string;
  /** Names this run of this instance, and no other. */
  readonly incarnation: string;
  /** How many instances the cluster has now, this one included. */
  readonly instances: () => number;
  readonly now: MonotonicMs;
}

export interface ClientExchange {
  /** The listeners from now on. */
  update(listeners: readonly LimitedListener[]): void;
  /** One exchange with Redis. Never rejects; what cannot be said now is said next time. */
  exchange(): Promise<void>;
  /** Exchanges five times a second, one after the other. */
  start(): void;
  /** Ends it. What this instance has counts elsewhere for one lease more at most. */
  stop(): Promise<void>;
  /** Clients spoken of now, over all listeners. */
  readonly shared: number;
}

const script = loadScript('client-limits');

export function createClientExchange(options: ClientExchangeOptions): ClientExchange {
  const { incarnation, instances, link, now, prefix } = options;
  let sharings = new Map<string, ClientSharing>();
  let turn: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  const tell = async (listener: string, sharing: ClientSharing, told: readonly Told[]): Promise<boolean> => {
    const askedAtMs = now();
    const keys = told.map(({ text }) => `${prefix}client:${listener}:${text}`);
    const numbers = told.flatMap(({ sessions, spentMs, owedMs, mostMs }) => [
      sessions,
      ...[spentMs, owedMs, mostMs].map(ms => ms.toFixed(3)),
    ]);
    const answer = await link.run(script, keys, [incarnation, CLIENT_LEASE_MS, ...numbers]);
    if (answer === undefined) return false;
    if (!Array.isArray(answer)) return true;
    for (const [at, { text, mostMs }] of told.entries()) {
      const [sessions, owedMs]: unknown[] = [answer[at * 2], answer[at * 2 + 1]];
      if (isCount(sessions, MAX_SESSIONS) && isCount(owedMs, mostMs))
        sharing.learn(text, sessions, owedMs, askedAtMs);
    }
    return true;
  };

  const exchange = async (): Promise<void> => {
    for (const [listener, sharing] of sharings) {
      sharing.expire(now());
      const told = sharing.collect(instances(), now());
      for (let at = 0; at < told.length; at += CLIENTS_A_COMMAND) {
        // Where Redis does not answer, the rest would only wait as long again.
        if (!(await tell(listener, sharing, told.slice(at, at + CLIENTS_A_COMMAND)))) return;
      }
    }
  };

  const next = (): void => {
    const begunMs = now();
    turn = exchange();
    void turn.then(() => {
      if (isStopped) return;
      timer = setTimeout(next, Math.max(10, CLIENT_EXCHANGE_MS - (now() - begunMs)));
    });
  };

  return {
    update(listeners) {
      const known = sharings;
      sharings = new Map();
      for (const { name, limits } of listeners) {
        const { table } = limits;
        if (!table) continue;
        const before = known.get(name);
        const sharing = before?.memory === table ? before : createClientSharing(table, limits);
        if (sharing === before) sharing.update(limits);
        sharings.set(name, sharing);
      }
    },
    exchange,
    start: next,
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await turn;
    },
    get shared() {
      return [...sharings.values()].reduce((sum, { size }) => sum + size, 0);
    },
  };
}

function isCount(value: unknown, most: number): value is number {
  return typeof value === 'number' && value >= 0 && value <= most;
}
