import { Worker } from 'node:worker_threads';
import { programRoot } from '../core/package.ts';
import type { WorkerStart } from './messages.ts';

export type SpawnShard = (start: WorkerStart) => Worker;

/**
 * Starts a shard's thread. It loads nothing that the process was told to preload (`--import`). A build has all that the
 * thread loads in one file (`tools/bundle.ts`), and a checkout, where the program is TypeScript, needs a loader for that,
 * which the thread does not have of its own.
 */
export function spawnShard(workerData: WorkerStart): Worker {
  const options = { workerData, name: 'smtplb-shard', execArgv: [] };
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('bin/shard.js', programRoot), options);
  const entry = JSON.stringify(new URL('./worker.ts', import.meta.url).href);
  const loader = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const code = `import(${loader}).then(({ register }) => { register(); return import(${entry}); })`;
  return new Worker(code, { ...options, eval: true });
}
