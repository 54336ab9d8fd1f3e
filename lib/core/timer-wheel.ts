import { type MonotonicMs, monotonicMs } from './clock.ts';

/**
 * Coarse timers, thousands of them, for the price of a linked list: one wheel a shard instead of one runtime timer a
 * connection. A slot holds every timer whose deadline falls on it in this or a later turn of the wheel; arming and
 * cancelling touch two neighbours and allocate nothing. A timer never fires early and at most one tick late, given
 * that `advance` is called once a tick.
 */
export const TICK_MS = 50;
const SLOTS = 1_024;

export interface TimerOwner {
  /** Called once per arming, when the deadline has passed. */
  onTimeout(): void;
}

/** One timer, made once by its owner and armed again and again. It calls its owner: thousands need no function each. */
export class Timer {
  /** Monotonic milliseconds; meaningful while armed. No whole number to begin with: the field is one for fractions. */
  deadlineMs = Number.POSITIVE_INFINITY;
  /** Neighbours in the slot's ring; null while not armed. The wheel's own. */
  previous: Timer | null = null;
  next: Timer | null = null;
  readonly owner: TimerOwner;

  constructor(owner: TimerOwner) {
    this.owner = owner;
  }
}

export class TimerWheel {
  readonly #slots: Timer[] = [];
  /** What fires in this call of `advance`. */
  readonly #due: Timer = createRing();
  readonly #clock: MonotonicMs;
  #tick: number;
  #size = 0;
  #nowMs: number;

  constructor(clock: MonotonicMs = monotonicMs) {
    this.#clock = clock;
    this.#nowMs = clock();
    this.#tick = Math.floor(this.#nowMs / TICK_MS);
    for (let at = 0; at < SLOTS; at++) this.#slots.push(createRing());
  }

  /** Armed timers. */
  get size(): number {
    return this.#size;
  }

  /** The clock as of the last `advance`: at most a tick or a long turn old, and free to read. */
  get coarseNowMs(): number {
    return this.#nowMs;
  }

  /** The clock itself, for durations that are reported. */
  now(): number {
    return this.#clock();
  }

  /** Arms `timer` to fire `delayMs` from now; an armed timer is moved. */
  arm(timer: Timer, delayMs: number): void {
    this.cancel(timer);
    timer.deadlineMs = this.#clock() + delayMs;
    this.#link(timer);
  }

  /** Disarms `timer`; nothing happens where it is not armed. */
  cancel(timer: Timer): void {
    if (timer.next === null || timer.previous === null) return;
    timer.previous.next = timer.next;
    timer.next.previous = timer.previous;
    timer.previous = timer.next = null;
    this.#size--;
  }

  /** Fires what is due. Whoever drives the shard calls it every TICK_MS or so; late calls catch up. */
  advance(): void {
    this.#nowMs = this.#clock();
    const current = Math.floor(this.#nowMs / TICK_MS);
    const first = this.#tick;
    this.#tick = current;
    if (this.#size === 0) return;
    // The current tick is looked at now and again in the next call: the wheel is not driven on the edge of a tick.
    // A pause longer than one turn of the wheel needs each slot only once.
    for (let tick = Math.max(first, current - SLOTS + 1); tick <= current; tick++) this.#collect(tick);
    // A callback may cancel, move or arm any timer, those due now among them: so one is taken at a time, and what is
    // armed meanwhile waits in its slot for the next call.
    for (let timer = this.#due.next; timer !== this.#due && timer !== null; timer = this.#due.next) {
      this.cancel(timer);
      timer.owner.onTimeout();
    }
  }

  /** Moves what is due from a slot to the ring of what fires now. */
  #collect(tick: number): void {
    const ring = this.#slots[tick % SLOTS] as Timer;
    for (let timer = ring.next as Timer; timer !== ring; ) {
      const next = timer.next as Timer;
      if (timer.deadlineMs <= this.#nowMs) {
        this.cancel(timer);
        this.#append(timer, this.#due);
      }
      timer = next;
    }
  }

  #link(timer: Timer): void {
    const tick = Math.max(Math.floor(timer.deadlineMs / TICK_MS), this.#tick);
    this.#append(timer, this.#slots[tick % SLOTS] as Timer);
  }

  #append(timer: Timer, ring: Timer): void {
    const last = ring.previous as Timer;
    timer.previous = last;
    timer.next = ring;
    last.next = timer;
    ring.previous = timer;
    this.#size++;
  }
}

function createRing(): Timer {
  const ring = new Timer({ onTimeout() {} });
  ring.previous = ring.next = ring;
  return ring;
}
