/** Which clients of one listener are spoken of in the cluster, and what is said of them. Knows no Redis. */
import { type ClientKey, clientKeyText } from '../admission/client-key.ts';
import { boundsOf, type PerClientLimits } from '../admission/client-limits.ts';
import { type ClientTable, CONTROL_PLANE, openClientTable } from '../admission/client-table.ts';
import {
  type ClientUse,
  forgetOthers,
  learnUse,
  readSet,
  takeChangedSets,
  takeUse,
} from '../admission/shared-clients.ts';
import { CLIENT_LEASE_MS, CLIENTS_AN_EXCHANGE, HEARTBEAT_MS, SHARED_CLIENTS } from './limits.ts';

/** What this instance says of one client. Milliseconds, but for the sessions. */
export interface Told {
  readonly text: string;
  readonly sessions: number;
  readonly spentMs: number;
  readonly owedMs: number;
  readonly mostMs: number;
}

export interface ClientSharing {
  /**
   * What is to be said now, the clients nearest to their limits first. `instances` is how many share the limits.
   * What a client has spent counts as told from here on, whatever becomes of it.
   */
  collect(instances: number, nowMs: number): Told[];
  /** What was heard in answer, asked at `askedAtMs`. */
  learn(text: string, sessions: number, owedMs: number, askedAtMs: number): void;
  /** Takes back what has not been confirmed for the length of a lease: those instances may be gone. */
  expire(nowMs: number): void;
  /** Other limits for the same clients. */
  update(limits: PerClientLimits): void;
  /** Clients spoken of now. */
  readonly size: number;
  /** The table it speaks for. */
  readonly memory: SharedArrayBuffer;
}

interface Shared {
  readonly key: ClientKey;
  readonly set: number;
  saidAtMs: number;
  /** Sessions elsewhere, and when that was heard. */
  others: number;
  heardAtMs: number;
  /** 1 is a client at its limit. */
  pressure: number;
  /** Something has changed here since it was last said. */
  hasChanged: boolean;
}

export function createClientSharing(memory: SharedArrayBuffer, initial: PerClientLimits): ClientSharing {
  const table: ClientTable = openClientTable(memory, CONTROL_PLANE);
  const shared = new Map<string, Shared>();
  let limits = initial;

  /** By what it has here. */
  const pressureOf = ({ sessions, owedMs }: ClientUse): number =>
    Math.max(sessions / limits.connections, limits.rate === null ? 0 : owedMs / limits.rate.perMs);

  const drop = (text: string, { key, others }: Shared): void => {
    shared.delete(text);
    if (others > 0) forgetOthers(table, key);
  };

  /** Keeps those nearest to their limits and returns the least; the rest is looked at again when it changes. */
  const bound = (): number => {
    const ranked = [...shared].sort(([, a], [, b]) => b.pressure - a.pressure);
    for (const [text, client] of ranked.slice(SHARED_CLIENTS)) drop(text, client);
    return ranked[SHARED_CLIENTS - 1]?.[1].pressure ?? 0;
  };

  /** Clients that have become worth speaking of, or whose use changed. */
  const look = (threshold: number, nowMs: number): void => {
    const changed = new Set(takeChangedSets(table));
    // Also those whose last session left, of whom a set tells nothing any more.
    for (const client of shared.values()) if (changed.has(client.set)) client.hasChanged = true;
    // In a flood the bar rises: most of those in it are passed over without a second look.
    let [bar, isFlood] = [threshold, false];
    for (const set of changed) {
      for (const use of readSet(table, set, nowMs)) {
        const pressure = pressureOf(use);
        if (isFlood ? pressure <= bar : pressure < bar) continue;
        const text = clientKeyText(use.key);
        const known = shared.get(text);
        if (known !== undefined) known.pressure = pressure + known.others / limits.connections;
        else {
          const { key } = use;
          shared.set(text, { key, set, saidAtMs: 0, heardAtMs: 0, others: 0, pressure, hasChanged: true });
        }
        if (shared.size < 2 * SHARED_CLIENTS) continue;
        bar = bound();
        isFlood = true;
      }
    }
  };

  const say = (text: string, client: Shared, threshold: number, nowMs: number): Told => {
    const { costMs } = boundsOf(limits);
    const use = takeUse(table, client.key, nowMs) ?? { key: client.key, sessions: 0, untold: 0, owedMs: 0 };
    client.saidAtMs = nowMs;
    client.hasChanged = false;
    client.pressure = pressureOf(use) + client.others / limits.connections;
    // Said for the last time: others are to know that it left. Who has much elsewhere is asked about for as long.
    if (client.pressure < threshold / 2) drop(text, client);
    return {
      text,
      sessions: use.sessions,
      spentMs: Math.min(use.untold * costMs, use.owedMs),
      owedMs: use.owedMs,
      mostMs: 0,
    };
  };

  return {
    memory,
    collect(instances, nowMs) {
      // Together the others keep less than a quarter of a limit to themselves.
      const threshold = 1 / (4 * Math.max(1, instances - 1));
      look(threshold, nowMs);
      if (shared.size > SHARED_CLIENTS) bound();
      const due = [...shared]
        .filter(([, { hasChanged, saidAtMs }]) => hasChanged || nowMs - saidAtMs >= HEARTBEAT_MS)
        .sort(([, a], [, b]) => b.pressure - a.pressure)
        .slice(0, CLIENTS_AN_EXCHANGE);
      // An instance can have let in one burst before it heard of the others'.
      const mostMs = Math.max(1, Math.min(instances, 64)) * boundsOf(limits).burstMs;
      return due.map(([text, client]) => ({ ...say(text, client, threshold, nowMs), mostMs }));
    },
    learn(text, sessions, owedMs, askedAtMs) {
      const client = shared.get(text);
      if (client === undefined) return;
      client.others = sessions;
      client.heardAtMs = askedAtMs;
      learnUse(table, client.key, sessions, askedAtMs + owedMs, boundsOf(limits).costMs);
    },
    expire(nowMs) {
      for (const client of shared.values()) {
        if (client.others === 0 || nowMs - client.heardAtMs < CLIENT_LEASE_MS) continue;
        client.others = 0;
        forgetOthers(table, client.key);
      }
    },
    update(next) {
      limits = next;
      for (const client of shared.values()) client.hasChanged = true;
    },
    get size() {
      return shared.size;
    },
  };
}
