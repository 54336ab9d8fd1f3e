/** Copies what the program reads beside its modules into a compiled tree: `npx tsx tools/copy-assets.ts dist`. */
import { cpSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../lib/core/package.ts';

const [tree] = process.argv.slice(2);
if (tree === undefined) throw new Error('which tree?');
const path = (relative: string) => fileURLToPath(new URL(relative, packageRoot));
cpSync(path('lib'), path(`${tree}/lib`), { recursive: true, filter: from => !from.endsWith('.ts') });
