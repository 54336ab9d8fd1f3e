/** The project's own files, where specs run them in processes and threads: as TypeScript through tsx, or compiled. */
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

/** `npm test` compiles the tree into a folder of its own and runs it there; a single spec file runs as it is. */
const COMPILED = import.meta.url.endsWith('.js');
const TREE = new URL('../../', import.meta.url);

/** Flags for Node to run one of the project's files; `tsx` is found from any folder. */
export const LOADER: readonly string[] = COMPILED ? [] : ['--import', import.meta.resolve('tsx')];

/** A module of the project by its path from the root, without an ending: `bin/smtplb`. */
export function moduleUrl(path: string): URL {
  return new URL(`${path}${COMPILED ? '.js' : '.ts'}`, TREE);
}

/** The same as a path. */
export function modulePath(path: string): string {
  return fileURLToPath(moduleUrl(path));
}

/** What a thread evaluates before it imports the project's modules: it has no loader for TypeScript of its own. */
export const THREAD_LOADER: string = COMPILED
  ? 'Promise.resolve()'
  : `import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(({ register }) => register())`;

/** A thread that runs a module of the project. */
export function startThread(path: string, workerData: unknown): Worker {
  const code = `${THREAD_LOADER}.then(() => import(${JSON.stringify(moduleUrl(path))}))`;
  return new Worker(code, { eval: true, workerData });
}
