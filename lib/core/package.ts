import { existsSync, readFileSync } from 'node:fs';

/** The folder with package.json: two levels up from the sources, three from `dist`. */
export const packageRoot: URL = ['../../', '../../../']
  .map(path => new URL(path, import.meta.url))
  .find(root => existsSync(new URL('package.json', root))) as URL;

/** The version of this package, as package.json has it. */
export const version: string = (
  JSON.parse(readFileSync(new URL('package.json', packageRoot), 'utf8')) as { version: string }
).version;
