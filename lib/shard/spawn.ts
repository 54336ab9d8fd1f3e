import { Worker } from 'node:worker_threads';
import type { WorkerStart } from './messages.ts';

export type SpawnShard = (start: WorkerStart) => Worker;

/** Starts a shard's thread. In a checkout, where the program is TypeScript, the thread has no loader of its own for that. */
export function spawnShard(workerData: WorkerStart): Worker {
  const options = { workerData, name: 'smtplb-shard' };
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./worker.js', import.meta.url), options);
  const entry = JSON.stringify(new URL('./worker.ts', import.meta.url).href);
  const loader = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const code = `import(${loader}).then(({ register }) => { register(); return import(${entry}); })`;
  return new Worker(code, { ...options, eval: true });
}
