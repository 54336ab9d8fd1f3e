/**
 * What operators have said of backends. Two voices: this instance was told, or the whole cluster was. The later word
 * holds: each word of the cluster has a version, and a word to this instance remembers the version over which it was
 * said, so that no clocks are compared.
 */
import type { AdminState } from '../pool/snapshot.ts';

/** What holds for a backend. */
export interface OperatorWord {
  readonly admin: AdminState;
  /** 1 to 256 in place of the configuration's weight; null for that. */
  readonly weight: number | null;
}

/** To whom the word that holds was said; null where nobody has said any. */
export type WordScope = 'instance' | 'cluster' | null;

/** A word said to the whole cluster. `version` grows with each word to it. */
export type ClusterWord = {
  readonly pool: string;
  readonly backend: string;
  readonly version: number;
} & (
  | {
      readonly admin: AdminState;
      /** With maint: the sessions that run there are ended. */
      readonly endSessions: boolean;
    }
  | { readonly weight: number | null }
);

interface Said<T> {
  readonly value: T;
  /** Of the cluster's word, or for a word to this instance that of the one it was said over; 0 where there was none. */
  readonly version: number;
}

interface Voices<T> {
  readonly instance: Said<T> | null;
  readonly cluster: Said<T> | null;
}

/** Everything said of one backend; plain values, as a successor is given them. */
export interface SaidOfBackend {
  readonly pool: string;
  readonly backend: string;
  readonly admin: Voices<AdminState>;
  readonly weight: Voices<number | null>;
}

/** Kept by name, so that it holds over reloads; apart from health, which is what checks say. */
export interface OperatorState {
  of(pool: string, backend: string): OperatorWord;
  scopeOf(pool: string, backend: string): { readonly admin: WordScope; readonly weight: WordScope };
  /** Said to this instance alone. */
  say(pool: string, backend: string, word: Partial<OperatorWord>): void;
  /**
   * All that the cluster was told, in place of what was known of it. Returns what is new: it holds from now on, since
   * it is later than any word to this instance that was said before it came.
   */
  hear(words: readonly ClusterWord[]): readonly ClusterWord[];
  /** The cluster's words, as far as they are known here. */
  heard(): readonly ClusterWord[];
  /** What a successor has to know. */
  entries(): readonly SaidOfBackend[];
}

const SILENCE: Voices<never> = { instance: null, cluster: null };

export function createOperatorState(said: readonly SaidOfBackend[] = []): OperatorState {
  const pools = new Map<string, Map<string, SaidOfBackend>>();
  const get = (pool: string, backend: string): SaidOfBackend =>
    pools.get(pool)?.get(backend) ?? { pool, backend, admin: SILENCE, weight: SILENCE };
  const set = (entry: SaidOfBackend): void => {
    const { pool, backend } = entry;
    const backends = pools.get(pool) ?? new Map<string, SaidOfBackend>();
    if (isSilent(entry.admin) && isSilent(entry.weight)) backends.delete(backend);
    else backends.set(backend, entry);
    if (backends.size === 0) pools.delete(pool);
    else pools.set(pool, backends);
  };
  const all = (): SaidOfBackend[] => [...pools.values()].flatMap(backends => [...backends.values()]);
  for (const entry of said) set(entry);

  return {
    of(pool, backend) {
      const { admin, weight } = get(pool, backend);
      return { admin: holding(admin)?.value ?? 'ready', weight: holding(weight)?.value ?? null };
    },
    scopeOf(pool, backend) {
      const { admin, weight } = get(pool, backend);
      return { admin: scope(admin), weight: scope(weight) };
    },
    say(pool, backend, { admin, weight }) {
      const entry = get(pool, backend);
      set({
        ...entry,
        ...(admin !== undefined && { admin: told(entry.admin, admin, 'ready') }),
        ...(weight !== undefined && { weight: told(entry.weight, weight, null) }),
      });
    },
    hear(words) {
      const news = words.filter(word => {
        const { admin, weight } = get(word.pool, word.backend);
        return word.version > (('admin' in word ? admin : weight).cluster?.version ?? 0);
      });
      for (const entry of all()) {
        set({
          ...entry,
          admin: { ...entry.admin, cluster: null },
          weight: { ...entry.weight, cluster: null },
        });
      }
      for (const word of words) {
        const entry = get(word.pool, word.backend);
        const { version } = word;
        if ('admin' in word) set({ ...entry, admin: later(entry.admin, { value: word.admin, version }) });
        else set({ ...entry, weight: later(entry.weight, { value: word.weight, version }) });
      }
      return news;
    },
    heard: () =>
      all().flatMap(({ pool, backend, admin, weight }): ClusterWord[] => [
        // Sessions are ended when the word comes, not by those who hear of it later.
        ...(admin.cluster === null
          ? []
          : [
              {
                pool,
                backend,
                version: admin.cluster.version,
                admin: admin.cluster.value,
                endSessions: false,
              },
            ]),
        ...(weight.cluster === null
          ? []
          : [{ pool, backend, version: weight.cluster.version, weight: weight.cluster.value }]),
      ]),
    entries: all,
  };
}

function isSilent<T>({ instance, cluster }: Voices<T>): boolean {
  return instance === null && cluster === null;
}

/** A word to this instance goes with the first word of the cluster that is later: where both are there, it holds. */
function holding<T>({ instance, cluster }: Voices<T>): Said<T> | null {
  return instance ?? cluster;
}

function scope<T>({ instance, cluster }: Voices<T>): WordScope {
  return instance !== null ? 'instance' : cluster !== null ? 'cluster' : null;
}

/** What is as if nothing had been said is forgotten, unless the cluster was told something else. */
function told<T>({ cluster }: Voices<T>, value: T, silence: T): Voices<T> {
  const isNothing = value === silence && cluster === null;
  return { instance: isNothing ? null : { value, version: cluster?.version ?? 0 }, cluster };
}

function later<T>({ instance }: Voices<T>, cluster: Said<T>): Voices<T> {
  return { instance: instance !== null && instance.version < cluster.version ? null : instance, cluster };
}
