import type { AdminState } from '../pool/snapshot.ts';

/** What the operator has said of a backend since the start. */
export interface OperatorWord {
  readonly admin: AdminState;
  /** 1 to 256 in place of the configuration's weight; null for that. */
  readonly weight: number | null;
}

/** Kept by name, so that it holds over reloads; apart from health, which is what checks say. */
export interface OperatorState {
  of(pool: string, backend: string): OperatorWord;
  say(pool: string, backend: string, word: Partial<OperatorWord>): void;
  /** Everything that was said and still differs from the default: what a successor has to know. */
  entries(): readonly (OperatorWord & { readonly pool: string; readonly backend: string })[];
}

const DEFAULT: OperatorWord = { admin: 'ready', weight: null };

export function createOperatorState(
  said: readonly (OperatorWord & { readonly pool: string; readonly backend: string })[] = [],
): OperatorState {
  const pools = new Map<string, Map<string, OperatorWord>>();
  const state: OperatorState = {
    of: (pool, backend) => pools.get(pool)?.get(backend) ?? DEFAULT,
    say(pool, backend, word) {
      const backends = pools.get(pool) ?? new Map<string, OperatorWord>();
      pools.set(pool, backends);
      const next = { ...state.of(pool, backend), ...word };
      if (next.admin === 'ready' && next.weight === null) backends.delete(backend);
      else backends.set(backend, next);
    },
    entries: () =>
      [...pools].flatMap(([pool, backends]) =>
        [...backends].map(([backend, word]) => ({ pool, backend, ...word })),
      ),
  };
  for (const { pool, backend, admin, weight } of said) state.say(pool, backend, { admin, weight });
  return state;
}
