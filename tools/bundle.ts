/**
 * Makes the program that is installed, in a tree of its own: `npx tsx tools/bundle.ts dist`. Hundreds of modules cost more
 * to find and to load than to run, at each start, and again in each shard's thread: here all that a start takes is in a
 * few files, and what a thread takes in one. Packages stay outside, as npm installs them.
 */
import { cpSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build } from 'esbuild';
import { packageRoot } from '../lib/core/package.ts';

const [tree] = process.argv.slice(2);
if (tree === undefined) throw new Error('which tree?');
const path = (relative: string) => fileURLToPath(new URL(relative, packageRoot));

const OPTIONS: BuildOptions = {
  absWorkingDir: path('.'),
  outdir: path(tree),
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  sourcemap: 'linked',
  // Names and lines are for whoever reads a stack trace; the sources are where the version says.
  sourcesContent: false,
  logLevel: 'warning',
};

// What only some commands take, and only some configurations, is in files of its own, loaded when it is wanted.
await build({
  ...OPTIONS,
  entryPoints: { 'bin/smtplb': 'bin/smtplb.ts', 'lib/index': 'lib/index.ts' },
  splitting: true,
  chunkNames: 'lib/parts/[name]-[hash]',
});
// The thread's program is kept as text (`lib/shard/spawn.ts`), which only scripts can be run from.
await build({
  ...OPTIONS,
  entryPoints: { 'bin/shard': 'lib/shard/worker.ts' },
  format: 'cjs',
  supported: { 'dynamic-import': false },
  outExtension: { '.js': '.cjs' },
});

// What the program reads beside its modules.
cpSync(path('lib'), path(`${tree}/lib`), { recursive: true, filter: from => !from.endsWith('.ts') });
