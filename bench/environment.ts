import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { backendsSay } from './backends.ts';
import { loadSays } from './load.ts';
import { machineStat } from './measure.ts';
import { findProgram, programSays } from './programs.ts';
import { pause } from './workloads/workload.ts';

/** Where figures come from: without it they cannot be compared with others. Names no machine and no path. */
export interface Environment {
  /** Of this project, as `git describe` has it; `unknown` outside a checkout. */
  readonly version: string;
  readonly node: string;
  readonly kernel: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryMiB: number;
  readonly load: string;
  readonly backends: string;
  /** The version of Postfix, whose smtp-source and smtp-sink may be load and backends. */
  readonly postfix: string | undefined;
  /** 0 to 1: how much of the machine was busy, or taken by its host, in a second in which we did nothing. */
  readonly busyAtRest: number;
}

/** The share (0 to 1) of all processor time between two readings that `what` took. */
export function shareOf(
  what: 'busyUs' | 'stolenUs',
  before: ReturnType<typeof machineStat>,
  after: ReturnType<typeof machineStat>,
): number {
  const total = after.totalUs - before.totalUs;
  return total <= 0 ? 0 : (after[what] - before[what]) / total;
}

/** Looks at the machine for a second. Nothing of the run may be busy yet. */
export async function observeEnvironment(): Promise<Environment> {
  const before = machineStat();
  await pause(1_000);
  const after = machineStat();
  const postconf = findProgram('postconf');
  const version = postconf && /= (\S+)/.exec(programSays(postconf, '-d', 'mail_version'))?.[1];
  const git = findProgram('git');
  return {
    version:
      (git && /^[\w.-]+$/m.exec(programSays(git, 'describe', '--always', '--dirty'))?.[0]) ?? 'unknown',
    node: process.version,
    kernel: `${type()} ${release()}`,
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    load: loadSays(),
    backends: backendsSay(),
    postfix: version,
    busyAtRest: shareOf('busyUs', before, after) + shareOf('stolenUs', before, after),
  };
}
