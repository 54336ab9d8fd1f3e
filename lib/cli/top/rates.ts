import type { StatusDocument } from '../../admin/status.ts';

/** What has changed between two readings, a second. Zero for what the earlier one does not know. */
export interface Rates {
  readonly seconds: number;
  listener(name: string): { readonly sessions: number; readonly bytes: number };
  backend(pool: string, name: string): { readonly picks: number; readonly failures: number };
}

export function ratesBetween(before: StatusDocument | null, after: StatusDocument): Rates {
  const seconds = before === null ? 0 : (Date.parse(after.now) - Date.parse(before.now)) / 1_000;
  // A restarted instance counts from zero: that is no rate, and neither is a clock that was set back.
  const rate = (now: number, then: number | undefined): number =>
    then === undefined || seconds <= 0 ? 0 : Math.max(0, now - then) / seconds;
  return {
    seconds,
    listener(name) {
      const [now, then] = [after, before].map(status =>
        status?.listeners.find(listener => listener.name === name),
      );
      if (now === undefined) return { sessions: 0, bytes: 0 };
      return {
        sessions: rate(now.accepted, then?.accepted),
        bytes: rate(
          now.bytesFromClients + now.bytesFromBackends,
          then && then.bytesFromClients + then.bytesFromBackends,
        ),
      };
    },
    backend(pool, name) {
      const [now, then] = [after, before].map(status =>
        status?.pools.find(one => one.name === pool)?.backends.find(backend => backend.name === name),
      );
      if (now === undefined) return { picks: 0, failures: 0 };
      return { picks: rate(now.picks, then?.picks), failures: rate(now.failures, then?.failures) };
    },
  };
}
