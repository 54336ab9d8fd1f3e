/** What two instances have used, read now and again. */
import { readFileSync } from 'node:fs';
import type { Edge } from './redis-arena.ts';

interface EdgeReading {
  readonly rss: number;
  readonly cpuMs: number;
  /** Connections to Redis made anew, since the start. */
  readonly reconnects: number;
}

export interface Reading {
  readonly atMs: number;
  readonly edges: readonly EdgeReading[];
}

export async function readEdges(edges: readonly Edge[]): Promise<Reading> {
  const atMs = performance.now();
  const read = async ({ command }: Edge): Promise<EdgeReading> => ({
    rss: command.usage().rss,
    cpuMs: cpuMs(command.process.pid),
    reconnects: (await command.metrics()).value('smtplb_redis_reconnects_total') ?? 0,
  });
  return { atMs, edges: await Promise.all(edges.map(read)) };
}

/** What each has more of than before. */
export function grown(from: Reading, to: Reading, what: keyof EdgeReading): number[] {
  return to.edges.map((edge, at) => edge[what] - (from.edges[at]?.[what] ?? 0));
}

/** The part of a core that each has used between two readings. */
export function cpu(from: Reading, to: Reading): string {
  const parts = grown(from, to, 'cpuMs').map(ms => (100 * ms) / (to.atMs - from.atMs));
  return parts.map(part => `${part.toFixed()} %`).join(', ');
}

/** User and system time so far (proc(5): fields 14 and 15 of stat, in hundredths of a second). */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
