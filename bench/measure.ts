import { readdirSync, readFileSync } from 'node:fs';

/** What the kernel says was used. Linux only: everything here is read from /proc. */

/** Microseconds in one tick of /proc; USER_HZ is 100 wherever Node runs. */
const TICK_US = 10_000;

/** One process, as /proc/PID/stat has it. */
export interface ProcessStat {
  readonly pid: number;
  readonly parent: number;
  /** User and system time of all its threads, the ended ones too, and of the children it has waited for. */
  readonly cpuUs: number;
}

/** The whole machine at a moment. Only differences between two readings mean something. */
export interface MachineStat {
  /** All cores together, doing anything: user, system, interrupts. */
  readonly busyUs: number;
  /** What the hypervisor gave to others meanwhile: a measure of noise. */
  readonly stolenUs: number;
  /** All cores together, doing anything or nothing. */
  readonly totalUs: number;
}

/**
 * Parses /proc/PID/stat. The program's name is in parentheses and may hold spaces and parentheses itself.
 * Returns undefined for text that is none.
 */
export function parseProcessStat(text: string): ProcessStat | undefined {
  const nameEnd = text.lastIndexOf(')');
  const pid = Number.parseInt(text, 10);
  // After the name: state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime
  const fields = text.slice(nameEnd + 2).split(' ');
  const ticks = fields.slice(11, 15).map(Number);
  const parent = Number(fields[1]);
  if (nameEnd < 0 || ticks.length < 4 || ![pid, parent, ...ticks].every(Number.isSafeInteger))
    return undefined;
  return { pid, parent, cpuUs: TICK_US * ticks.reduce((sum, tick) => sum + tick, 0) };
}

/**
 * Parses /proc/stat as read at `nowUs` of a monotonic clock; undefined for text that is none. Busy is what was not
 * idle, waiting or stolen: the kernel times idleness to the microsecond, but only samples what a busy core does,
 * 250 times a second, and that misses much of what a proxy does in bursts.
 */
export function parseMachineStat(text: string, nowUs: number): MachineStat | undefined {
  const line = /^cpu +([\d ]+)/.exec(text)?.[1];
  const cores = text.match(/^cpu\d+ /gm)?.length;
  if (line === undefined || cores === undefined) return undefined;
  // user nice system idle iowait irq softirq steal ...
  const [idle = 0, iowait = 0, , , steal = 0] = line.split(' ').slice(3).map(Number);
  const [totalUs, stolenUs] = [cores * nowUs, TICK_US * steal];
  return { busyUs: totalUs - TICK_US * (idle + iowait) - stolenUs, stolenUs, totalUs };
}

/** The resident set, in KiB, of the text of /proc/PID/smaps_rollup; undefined for text without it. */
export function parseResidentKib(text: string): number | undefined {
  const digits = /^Rss: +(\d+) kB$/m.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Now, for the whole machine. */
export function machineStat(): MachineStat {
  const stat = parseMachineStat(readFileSync('/proc/stat', 'utf8'), 1_000 * performance.now());
  if (stat === undefined) throw new Error('/proc/stat has no line for all processors');
  return stat;
}

/** CPU time used so far by `pid` and everything it started, in microseconds. Throws where `pid` is gone. */
export function processCpuUs(pid: number): number {
  return processTree(pid).reduce((sum, one) => sum + one.cpuUs, 0);
}

/**
 * Resident memory of `pid` and everything it started, in KiB. smaps_rollup walks the page tables; the quicker
 * counters of statm lag behind by up to a batch of pages a processor. Throws where `pid` is gone.
 */
export function residentKib(pid: number): number {
  return processTree(pid).reduce((sum, one) => {
    const text = readIfThere(`/proc/${one.pid}/smaps_rollup`);
    return sum + ((text === undefined ? undefined : parseResidentKib(text)) ?? 0);
  }, 0);
}

/** Between two readings of memory, for how long at most, and how far apart two may be that say the same. */
const [READ_EVERY_MS, SETTLED_BY_MS, SAME_KIB] = [250, 5_000, 64];

/**
 * Resident memory of `pid` and everything it started, in KiB, once it has stopped changing: twice within 64 KiB of the
 * reading before. After five seconds it is taken as it is.
 */
export async function settledKib(pid: number): Promise<number> {
  const deadline = performance.now() + SETTLED_BY_MS;
  let last = residentKib(pid);
  for (let same = 0; same < 2 && performance.now() < deadline; ) {
    await new Promise(resolve => setTimeout(resolve, READ_EVERY_MS));
    const now = residentKib(pid);
    same = Math.abs(now - last) <= SAME_KIB ? same + 1 : 0;
    last = now;
  }
  return last;
}

/** `pid` and its descendants that live now. */
function processTree(pid: number): readonly ProcessStat[] {
  const root = processStat(pid);
  if (root === undefined) throw new Error(`no process ${pid}`);
  const all = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(name => processStat(Number(name)))
    .filter(stat => stat !== undefined);
  const tree = [root];
  // The list grows while it is walked: children of children come after their parents.
  for (const one of tree) tree.push(...all.filter(stat => stat.parent === one.pid));
  return tree;
}

function processStat(pid: number): ProcessStat | undefined {
  const text = readIfThere(`/proc/${pid}/stat`);
  return text === undefined ? undefined : parseProcessStat(text);
}

/** A process may end between being listed and being read. */
function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
