/**
 * How often something happened lately, a second: a count that fades with `fadeMs`, so that what is long ago weighs
 * less and less. Costs two numbers, needs no timer, and is the same whether it is told of events one by one or in
 * batches.
 */
export interface DecayingRate {
  /** `events` more happened, up to now. */
  add(events: number, nowMs: number): void;
  /** Events a second. */
  perSecond(nowMs: number): number;
}

export function createDecayingRate(fadeMs: number): DecayingRate {
  let events = 0;
  let atMs = 0;
  const fade = (nowMs: number): void => {
    if (nowMs > atMs) events *= Math.exp((atMs - nowMs) / fadeMs);
    atMs = Math.max(atMs, nowMs);
  };
  return {
    add(more, nowMs) {
      fade(nowMs);
      events += more;
    },
    perSecond(nowMs) {
      fade(nowMs);
      return (events * 1_000) / fadeMs;
    },
  };
}
