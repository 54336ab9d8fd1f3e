import { existsSync, readFileSync } from 'node:fs';

const here = (path: string): URL => new URL(path, import.meta.url);

/**
 * The folder with the program's own files, `lib/` and `bin/` among them: the checkout, or the tree it was built into.
 * Files beside the modules are found from here, since a build has many modules in one file, which stands elsewhere.
 */
export const programRoot: URL = ['../', '../../']
  .map(here)
  .find(root => existsSync(new URL('lib/admin/page/', root))) as URL;

/** The folder with package.json: that of the program, or the one above `dist`. */
export const packageRoot: URL = ['./', '../']
  .map(path => new URL(path, programRoot))
  .find(root => existsSync(new URL('package.json', root))) as URL;

/** The version of this package, as package.json has it. */
export const version: string = (
  JSON.parse(readFileSync(new URL('package.json', packageRoot), 'utf8')) as { version: string }
).version;
