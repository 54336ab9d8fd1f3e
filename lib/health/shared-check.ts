import type { Health } from '../pool/snapshot.ts';
import {
  type BackendCheck,
  type BackendHealth,
  type CheckEnvironment,
  startBackendCheck,
} from './backend-check.ts';
import type { CheckedBackend } from './options.ts';
import { OUTCOMES } from './outcome.ts';
import type { ProbeResult } from './probe.ts';
import { type CheckSharing, checkedId, type Finding } from './sharing.ts';

export interface SharedCheckEvents {
  onResult(result: ProbeResult): void;
  onChange(health: BackendHealth): void;
}

/** The checks of one backend, made here or taken over from other instances. */
export interface SharedCheck extends Omit<BackendCheck, 'rest' | 'resume'> {
  /** The others have found something, or come or gone. */
  settle(): void;
  /** What this instance has found by its own checks; null where it makes none, or has no result yet. */
  own(): Finding | null;
}

/**
 * One's own eyes come first: an instance that checks goes by what it finds, whatever the others say. Who does not check
 * takes over what the majority of the checkers has found, and where there is none, all stays as it is. Without others
 * (`instances` not set, Redis gone) an instance checks by itself.
 */
export function startSharedCheck(
  first: CheckedBackend,
  environment: CheckEnvironment,
  sharing: CheckSharing | null,
  events: SharedCheckEvents,
): SharedCheck {
  let isChecking = true;
  let current: Health = 'up';
  let sinceMs = environment.now();
  let taken: Finding | null = null;
  const inner = startBackendCheck(first, environment, (_, __, result) => {
    events.onResult(result);
    settle();
  });

  const shared = (): { id: string; count: number; sharing: CheckSharing } | null => {
    const { instances } = inner.options.check;
    return sharing === null || instances === undefined
      ? null
      : { id: checkedId(inner.options), count: instances, sharing };
  };

  const own = (): Finding | null => {
    const { health, outcome } = inner.health();
    if (!isChecking || outcome === null) return null;
    const { success, blamesBackend } = OUTCOMES[outcome];
    return success || blamesBackend ? { health, outcome } : null;
  };

  const settle = (): void => {
    const others = shared();
    const mayCheck = others?.sharing.isChecker(others.id, others.count) ?? true;
    if (mayCheck !== isChecking) {
      isChecking = mayCheck;
      if (mayCheck) inner.resume(current);
      else inner.rest();
    }
    taken = others?.sharing.verdict(others.id, others.count) ?? null;
    const health = own()?.health ?? taken?.health ?? current;
    if (health === current) return;
    current = health;
    sinceMs = environment.now();
    events.onChange(check.health());
  };

  const check: SharedCheck = {
    get options() {
      return inner.options;
    },
    change(options) {
      inner.change(options);
      settle();
    },
    counter: inner.counter,
    health() {
      const others = shared();
      const checkers = others?.sharing.checkers(others.id, others.count) ?? null;
      const here = { ...inner.health(), health: current, sinceMs, checkers, isCheckedHere: isChecking };
      if (isChecking) return here;
      const detail = checkers === null ? '' : `as found by ${checkers.join(', ')}`;
      return { ...here, outcome: taken?.outcome ?? null, detail, durationMs: 0, consecutive: 0 };
    },
    recheck: () => (isChecking ? inner.recheck() : undefined),
    settle,
    own,
    stop: inner.stop,
  };
  settle();
  return check;
}
