import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { programRoot } from '../core/package.ts';
import type { WorkerStart } from './messages.ts';

export type SpawnShard = (start: WorkerStart) => Worker;

/** A checkout, where the program is TypeScript, and not a build of it. */
const isSource = import.meta.url.endsWith('.ts');
const program = isSource ? fromSource() : fromBuild();

/** Starts a shard's thread. It loads nothing that the process was told to preload (`--import`). */
export function spawnShard(workerData: WorkerStart): Worker {
  return new Worker(program, { workerData, name: 'smtplb-shard', execArgv: [], eval: true });
}

/**
 * One file has all that the thread takes (`tools/bundle.ts`). It is read when the process starts, and not when a thread
 * does: by the time a lost shard is replaced, the file may be another version's.
 */
function fromBuild(): string {
  const file = new URL('bin/shard.cjs', programRoot);
  const here = `require('node:module').createRequire(${JSON.stringify(file.href)})`;
  return `(require => {${readFileSync(file, 'utf8')}\n})(${here})\n//# sourceURL=${file.href}`;
}

/** The thread has no loader for TypeScript of its own. */
function fromSource(): string {
  const entry = JSON.stringify(new URL('./worker.ts', import.meta.url).href);
  const loader = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  return `import(${loader}).then(({ register }) => { register(); return import(${entry}); })`;
}
