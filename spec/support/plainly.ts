/** A suite as Node runs a program, without what the test runner loads into it. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** What the runner tells a suite's process, and all that this starts, so that they load its hooks. */
const OF_HOOKS = /^NODE_OPTIONS$|^_TAPJS_/;

/**
 * Where the runner has hooks in this process, runs the same file in one that has none, and resolves with true when that
 * has ended, with its status. The hooks are for coverage, mocks and TypeScript, of which a compiled suite wants nothing,
 * and every thread and every program that it starts would load them again: a shard's thread takes five times as long.
 */
export async function runPlainly(): Promise<boolean> {
  if (!process.execArgv.some(flag => flag.startsWith('--import'))) return false;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !OF_HOOKS.test(name)));
  const child = spawn(process.execPath, ['--enable-source-maps', ...process.argv.slice(1)], {
    env,
    stdio: 'inherit',
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGALRM'] as const)
    process.on(signal, () => child.kill(signal));
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (status, signal) => resolve(status ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
  return true;
}
