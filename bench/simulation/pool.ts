import { ipAddress } from '../../lib/core/address.ts';
import type { PoolSnapshot } from '../../lib/pool/snapshot.ts';
import type { Scenario } from './scenario.ts';

/** The pool of a scenario as the program sees it; `down` is the row of a backend that is away, or null. */
export function simulatedPool({ backends, weights }: Scenario, down: number | null): PoolSnapshot {
  const address = ipAddress('192.0.2.1', 25);
  if (address === undefined) throw new Error('no address');
  return {
    row: 0,
    name: 'simulated',
    balance: 'least-connections',
    identity: 'none',
    source: [],
    xclientRequired: false,
    tls: null,
    connect: { timeoutMs: 1_000, greetingTimeoutMs: 1_000, attempts: 1, retryOnGreeting: [] },
    queue: { size: 0, timeoutMs: 1_000 },
    passiveHealth: { failures: 3, pauseMs: 1_000, maxPauseMs: 1_000 },
    slowStartMs: 0,
    backends: Array.from({ length: backends }, (_, row) => ({
      row,
      name: `mx${row}`,
      address,
      weight: weights[row % weights.length] as number,
      tlsName: '',
      maxConnections: Number.POSITIVE_INFINITY,
      backup: false,
      health: row === down ? ('down' as const) : ('up' as const),
      admin: 'ready' as const,
    })),
  };
}
