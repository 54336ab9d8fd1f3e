/** What instances tell each other about their load, read with suspicion: anybody may write to Redis. */
import { parseObject } from './json.ts';
import { MAX_SESSIONS } from './limits.ts';

/** The load of one instance, or of several. */
export interface Load {
  /** Sessions by backend, as `pool/backend`. Backends without any may be left out. */
  readonly sessions: ReadonlyMap<string, number>;
  /** Sessions begun a second, by pool. */
  readonly rates: ReadonlyMap<string, number>;
}

export const NO_LOAD: Load = { sessions: new Map(), rates: new Map() };

/** As Redis holds it; zeros are left out, and names are in order so that equal loads are equal texts. */
export function encodeLoad({ sessions, rates }: Load): string {
  return `{"c":${entries(sessions, Math.round)},"r":${entries(rates, rate => Math.round(rate * 100) / 100)}}`;
}

function entries(map: ReadonlyMap<string, number>, round: (value: number) => number): string {
  const list = [...map]
    .map(([name, value]) => [name, round(value)] as const)
    .filter(([, value]) => value > 0 && value <= MAX_SESSIONS)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${JSON.stringify(name)}:${value}`);
  return `{${list.join(',')}}`;
}

/** Undefined where the text is no load. Names that `isKnown` does not know are left out. */
export function decodeLoad(text: string, isKnown: (name: string) => boolean): Load | undefined {
  const value = parseObject(text);
  if (value === undefined) return undefined;
  const { c, r } = value;
  const sessions = numbers(c, isKnown);
  const rates = numbers(r, isKnown);
  return sessions === undefined || rates === undefined ? undefined : { sessions, rates };
}

function numbers(value: unknown, isKnown: (name: string) => boolean): Map<string, number> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const map = new Map<string, number>();
  for (const [name, number] of Object.entries(value)) {
    if (typeof number !== 'number' || !(number >= 0) || number > MAX_SESSIONS * 1_000) return undefined;
    if (isKnown(name)) map.set(name, number);
  }
  return map;
}

/** `all` without `own`, never below zero. */
export function without(all: Load, own: Load): Load {
  return { sessions: minus(all.sessions, own.sessions), rates: minus(all.rates, own.rates) };
}

function minus(all: ReadonlyMap<string, number>, own: ReadonlyMap<string, number>): Map<string, number> {
  const rest = new Map<string, number>();
  for (const [name, value] of all) {
    const left = value - (own.get(name) ?? 0);
    if (left > 1e-9) rest.set(name, left);
  }
  return rest;
}
