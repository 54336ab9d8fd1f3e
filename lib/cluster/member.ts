/** What an instance says of itself to the others, read with suspicion: anybody may write to Redis. */

import type { Fingerprint } from './fingerprint.ts';
import { parseObject } from './json.ts';
import { MEMBER_OCTETS, MEMBER_POOLS } from './limits.ts';

export interface MemberReport {
  /** Its name in the configuration; unique, if all is well. */
  readonly instance: string;
  /** Of the machine; shown only. */
  readonly hostName: string;
  /** Tells machines apart. */
  readonly host: string;
  readonly version: string;
  /** How often a configuration has been put into use. */
  readonly generation: number;
  readonly fingerprint: Fingerprint;
  readonly shards: number;
  readonly transport: string;
  /** That are not over. */
  readonly sessions: number;
  /** Wall clock of its machine, milliseconds; shown only. */
  readonly startedAtMs: number;
  readonly state: 'running' | 'stopping';
}

/** At most MEMBER_OCTETS; pools are told one by one only where they fit. */
export function encodeMember(report: MemberReport): string {
  const { instance, hostName, host, version, generation, fingerprint } = report;
  const { shards, transport, sessions, startedAtMs, state } = report;
  const encode = (pools: Fingerprint['pools']): string =>
    JSON.stringify({
      i: instance,
      n: hostName.slice(0, 255),
      h: host,
      v: version,
      g: generation,
      f: fingerprint.all,
      l: fingerprint.limits,
      p: Object.fromEntries(pools),
      c: shards,
      t: transport,
      s: sessions,
      u: Math.round(startedAtMs),
      e: state,
    });
  const text = encode(fingerprint.pools);
  return Buffer.byteLength(text) <= MEMBER_OCTETS ? text : encode(new Map());
}

/** Undefined where the text is none. */
export function decodeMember(text: string): MemberReport | undefined {
  const value = parseObject(text);
  if (value === undefined) return undefined;
  const of = new Map(Object.entries(value));
  const word = (key: string): string | undefined => {
    const found: unknown = of.get(key);
    return typeof found === 'string' && found.length <= 255 ? found : undefined;
  };
  const count = (key: string): number | undefined => {
    const found: unknown = of.get(key);
    return Number.isSafeInteger(found) && (found as number) >= 0 ? (found as number) : undefined;
  };
  const [instance, hostName, host, version, transport] = ['i', 'n', 'h', 'v', 't'].map(word);
  const [generation, shards, sessions, startedAtMs] = ['g', 'c', 's', 'u'].map(count);
  const [all, limits, pools] = [word('f'), word('l'), poolsOf(of.get('p'))];
  if (instance === undefined || hostName === undefined || host === undefined) return undefined;
  if (version === undefined || transport === undefined || generation === undefined) return undefined;
  if (shards === undefined || sessions === undefined || startedAtMs === undefined) return undefined;
  if (all === undefined || limits === undefined || pools === undefined) return undefined;
  // Beyond it there is no such date.
  if (startedAtMs > 8.64e15) return undefined;
  const fingerprint = { all, limits, pools };
  const state = of.get('e') === 'stopping' ? 'stopping' : 'running';
  return {
    ...{ instance, hostName, host, version, generation, fingerprint },
    ...{ shards, transport, sessions, startedAtMs, state },
  };
}

function poolsOf(value: unknown): Map<string, string> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const pools = new Map<string, string>();
  for (const [name, digest] of Object.entries(value)) {
    if (typeof digest !== 'string' || digest.length > 64 || name.length > 64) return undefined;
    if (pools.size >= MEMBER_POOLS) return undefined;
    pools.set(name, digest);
  }
  return pools;
}
