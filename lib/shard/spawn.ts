import { Worker } from 'node:worker_threads';
import type { WorkerStart } from './messages.ts';

export type SpawnShard = (start: WorkerStart) => Worker;

/**
 * Starts a shard's thread. It loads nothing that the process was told to preload (`--import`). In a checkout, where the
 * program is TypeScript, it has no loader of its own for that.
 */
export function spawnShard(workerData: WorkerStart): Worker {
  const options = { workerData, name: 'smtplb-shard', execArgv: [] };
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./worker.js', import.meta.url), options);
  const entry = JSON.stringify(new URL('./worker.ts', import.meta.url).href);
  const loader = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const code = `import(${loader}).then(({ register }) => { register(); return import(${entry}); })`;
  return new Worker(code, { ...options, eval: true });
}
