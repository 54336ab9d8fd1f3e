/** A made-up instance: a status document with a bit of everything an operator meets, and the minutes before it. */
import type { HistoryDocument } from '../../lib/admin/history.ts';
import type { BackendStatus, CheckStatus, ListenerStatus, StatusDocument } from '../../lib/admin/status.ts';

const HOUR_MS = 3_600_000;

export function madeUpCheck(check: Partial<CheckStatus> = {}): CheckStatus {
  return {
    type: 'smtp',
    outcome: 'ok',
    detail: '',
    durationMs: 14,
    consecutive: 41_202,
    secondsSinceChange: 206_010,
    certificateDaysLeft: null,
    checkers: null,
    isCheckedHere: true,
    ...check,
  };
}

export function madeUpBackend(backend: Partial<BackendStatus> = {}): BackendStatus {
  return {
    name: 'mx1',
    address: '10.0.0.11:25',
    weight: 1,
    configuredWeight: 1,
    backup: false,
    admin: 'ready',
    adminScope: null,
    weightScope: null,
    health: 'up',
    check: madeUpCheck(),
    ejectedForSeconds: null,
    failuresInARow: 0,
    active: 96,
    activeElsewhere: null,
    limit: 500,
    warm: null,
    picks: 1_204_311,
    failures: 12,
    ...backend,
  };
}

function madeUpListener(listener: Partial<ListenerStatus>): ListenerStatus {
  return {
    name: 'mx',
    pool: 'mx',
    addresses: ['0.0.0.0:25', '[::]:25'],
    active: 228,
    limit: 5_000,
    accepted: 3_104_211,
    bytesFromClients: 92_403_111_942,
    bytesFromBackends: 1_802_443_110,
    starttlsUsed: 2_794_000,
    ended: {
      normal: 3_021_774,
      'client-closed': 40_118,
      'client-reset': 9_713,
      'client-timeout': 1_204,
      'backend-reset': 37,
      denied: 18_402,
      'client-rate': 12_735,
    },
    ...listener,
  };
}

/** Several pools; one backend drained, one failing, one down, one pool with a queue. */
export function madeUpStatus(status: Partial<StatusDocument> = {}): StatusDocument {
  const now = Date.now();
  return {
    instance: 'edge-1',
    version: '0.1.0',
    startedAt: new Date(now - 295 * HOUR_MS).toISOString(),
    now: new Date(now).toISOString(),
    state: 'running',
    generation: 7,
    shards: [0, 1].map(shard => ({
      shard,
      transport: 'io_uring',
      state: 'running',
      sessions: 9,
      restarts: 0,
      silentMs: 20,
    })),
    cluster: null,
    lastReload: { at: new Date(now - 3.2 * HOUR_MS).toISOString(), ok: true, message: 'done' },
    listeners: [
      madeUpListener({}),
      madeUpListener({
        name: 'submission',
        pool: 'submission',
        addresses: ['0.0.0.0:587'],
        active: 83,
        limit: 200,
        accepted: 402_118,
        bytesFromClients: 20_118_404_119,
        bytesFromBackends: 240_404_221,
        starttlsUsed: 401_776,
        ended: {
          normal: 398_001,
          'client-closed': 2_011,
          'idle-timeout': 312,
          'backend-timeout': 21,
          'queue-timeout': 14,
        },
      }),
    ],
    pools: [
      {
        name: 'mx',
        balance: 'least-connections',
        identity: 'proxy-v2',
        queued: 0,
        queueSize: 1_000,
        retries: 1_318,
        backends: [
          madeUpBackend({
            weight: 2,
            configuredWeight: 2,
            active: 148,
            check: madeUpCheck({ certificateDaysLeft: 61 }),
          }),
          madeUpBackend({
            name: 'mx2',
            address: '10.0.0.12:25',
            weight: 1,
            configuredWeight: 2,
            active: 73,
            picks: 891_220,
            failures: 3,
            check: madeUpCheck({ certificateDaysLeft: 61 }),
          }),
          madeUpBackend({
            name: 'mx3',
            address: '10.0.0.13:25',
            admin: 'drain',
            active: 7,
            picks: 402_118,
            failures: 0,
            check: madeUpCheck({ durationMs: 9, certificateDaysLeft: 9 }),
          }),
          madeUpBackend({
            name: 'mx4',
            address: '10.0.0.14:25',
            health: 'down',
            active: 0,
            picks: 88_301,
            failures: 411,
            check: madeUpCheck({
              outcome: 'proxy-not-understood',
              detail: 'To the PROXY header it answered "500 5.5.2 Error: bad syntax".',
              consecutive: 118,
              durationMs: 31,
            }),
          }),
          madeUpBackend({
            name: 'spare',
            address: '10.0.1.9:25',
            backup: true,
            active: 0,
            limit: null,
            picks: 0,
            failures: 0,
          }),
        ],
      },
      {
        name: 'submission',
        balance: 'round-robin',
        identity: 'none',
        queued: 14,
        queueSize: 100,
        retries: 96,
        backends: [
          madeUpBackend({
            name: 'sub1',
            address: '10.0.0.21:587',
            active: 60,
            limit: 60,
            picks: 288_411,
            failures: 2,
            check: madeUpCheck({ certificateDaysLeft: 61 }),
          }),
          madeUpBackend({
            name: 'sub2',
            address: '10.0.0.22:587',
            active: 0,
            limit: 60,
            picks: 113_707,
            failures: 94,
            failuresInARow: 6,
            ejectedForSeconds: 12,
            check: madeUpCheck({
              outcome: 'timeout',
              detail: 'Connected, and no greeting within 5 s.',
              consecutive: 1,
              durationMs: 5_000,
            }),
          }),
        ],
      },
      {
        name: 'lists',
        balance: 'source-hash',
        identity: 'proxy-v1',
        queued: 0,
        queueSize: 100,
        retries: 0,
        backends: [
          madeUpBackend({
            name: 'list1',
            address: '10.0.0.31:25',
            active: 4,
            limit: null,
            picks: 21_404,
            failures: 0,
            check: null,
          }),
          madeUpBackend({
            name: 'list2',
            address: '10.0.0.32:25',
            admin: 'maint',
            active: 0,
            limit: null,
            picks: 20_911,
            failures: 0,
            check: null,
          }),
        ],
      },
    ],
    ...status,
  };
}

/** Ten minutes that end in this document: a busy evening, a backend that fails in the last three of them. */
export function madeUpHistory(status: StatusDocument): HistoryDocument {
  const { listeners, pools } = status;
  const sum = <T>(things: readonly T[], of: (thing: T) => number) =>
    things.reduce((all, thing) => all + of(thing), 0);
  const active = sum(listeners, listener => listener.active);
  const totals = {
    accepted: sum(listeners, listener => listener.accepted),
    bytes: sum(listeners, listener => listener.bytesFromClients + listener.bytesFromBackends),
    failed: sum(pools, pool => sum(pool.backends, backend => backend.failures)),
    refused: sum(
      listeners,
      ({ ended }) =>
        ((ended as { denied?: number }).denied ?? 0) +
        (ended['client-rate'] ?? 0) +
        (ended['queue-timeout'] ?? 0),
    ),
  };
  const samples = Array.from({ length: 300 }, (_, back) => {
    const ageMs = back * 2_000 + 900;
    const load = busy(back);
    const sick = Math.max(0, 90 - back);
    const sample = {
      ageMs,
      active: Math.round(active * (0.7 + 0.3 * load)),
      queued: back < 40 ? Math.round(14 * (1 - back / 40)) : 0,
      ...totals,
    };
    totals.accepted -= Math.round(76 * load);
    totals.bytes -= Math.round(4_800_000 * load * (0.8 + 0.4 * Math.sin(back * 1.7) ** 2));
    totals.failed -= sick > 0 && back % 3 === 0 ? 2 : 0;
    totals.refused -= Math.round(busy(back * 3) * 1.2);
    return sample;
  }).reverse();
  const mark = (ageMs: number) => {
    const part = ageMs / 300_000;
    return {
      ageMs,
      listeners: listeners.map(({ name, ended }) => ({
        name,
        ended: Object.fromEntries(
          Object.entries(ended).map(([cause, n]) => [
            cause,
            Math.round(n * (1 - part * (n > 5_000 ? 0.004 : 0.03))),
          ]),
        ),
      })),
      backends: pools.flatMap(pool =>
        pool.backends.map(({ name, failures, failuresInARow, health }) => ({
          pool: pool.name,
          name,
          failures: failuresInARow > 0 || health === 'down' ? failures - Math.round(44 * part) : failures,
        })),
      ),
    };
  };
  return { samples, marks: Array.from({ length: 10 }, (_, at) => mark(299_000 - 30_000 * at)) };
}

/** Waves, the same each time. */
function busy(at: number): number {
  return 1 + 0.18 * Math.sin(at / 21) + 0.07 * Math.sin(at / 5.3) + 0.05 * Math.sin(at * 2.1);
}

/** The document a second later: sessions come and go. */
export function secondLater(status: StatusDocument): StatusDocument {
  const now = Date.parse(status.now) + 1_000;
  return {
    ...status,
    now: new Date(now).toISOString(),
    listeners: status.listeners.map((listener, at) => ({
      ...listener,
      accepted: listener.accepted + (at === 0 ? 34 : 5),
      ended: {
        ...listener.ended,
        normal: (listener.ended['normal'] ?? 0) + (at === 0 ? 31 : 5),
        ...(at === 0 && { denied: (listener.ended['denied'] ?? 0) + 1 }),
      },
      bytesFromClients: listener.bytesFromClients + (at === 0 ? 2_104_000 : 310_000),
      bytesFromBackends: listener.bytesFromBackends + (at === 0 ? 41_000 : 6_000),
    })),
    pools: status.pools.map(pool => ({
      ...pool,
      backends: pool.backends.map(backend => ({
        ...backend,
        picks:
          backend.picks +
          (backend.admin === 'ready' && backend.health === 'up' ? Math.ceil(backend.active / 9) : 0),
      })),
    })),
  };
}
