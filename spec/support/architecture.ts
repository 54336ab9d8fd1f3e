/** The rules of the code base as functions over its files: each gives the violations it found, as sentences. */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { packageRoot } from '../../lib/core/package.ts';

/** A source file; the path is relative to the package's root, with forward slashes. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

export interface Import {
  /** A path relative to the package's root, or the name of a package or of one of Node's modules. */
  readonly target: string;
  /** Nothing of it is left when types are erased. */
  readonly typeOnly: boolean;
}

/** All TypeScript files under these folders of the package. */
export function sourceFiles(...folders: readonly string[]): SourceFile[] {
  return folders.flatMap(folder =>
    readdirSync(new URL(folder, packageRoot), { recursive: true, encoding: 'utf8' })
      .filter(name => name.endsWith('.ts'))
      .map(name => posix.join(folder, name.replaceAll('\\', '/')))
      .sort()
      .map(path => ({ path, text: readFileSync(new URL(path, packageRoot), 'utf8') })),
  );
}

const FROM = /^(?:import|export)\s+(type\s)?([^;'"]*?)\s*from\s*['"]([^'"]+)['"]/gm;
const BARE = /^import\s*['"]([^'"]+)['"]/gm;
const DYNAMIC = /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;

/** What a file imports or re-exports, dynamic imports with a literal name included. */
export function importsOf({ path, text }: SourceFile): Import[] {
  const code = withoutComments(text);
  const resolve = (name: string) =>
    name.startsWith('.') ? posix.normalize(posix.join(posix.dirname(path), name)) : name;
  const named = [...code.matchAll(FROM)].map(([, type, names = '', target = '']) => ({
    target: resolve(target),
    typeOnly: type !== undefined || onlyTypes(names),
  }));
  const whole = [...code.matchAll(BARE), ...code.matchAll(DYNAMIC)].map(([, target = '']) => ({
    target: resolve(target),
    typeOnly: false,
  }));
  return [...named, ...whole];
}

/** `{ type A, type B }` */
function onlyTypes(names: string): boolean {
  const inner = /^\{([^}]*)\}$/.exec(names.trim())?.[1];
  const each = inner?.split(',').filter(name => name.trim() !== '') ?? [];
  return each.length > 0 && each.every(name => /^\s*type\s/.test(name));
}

/** Whole-line comments are blanked; what stands behind code on a line stays. Lines keep their numbers. */
function withoutComments(text: string): string {
  return text
    .replace(/^[ \t]*\/\*[\s\S]*?\*\/[ \t]*$/gm, comment => comment.replace(/[^\n]/g, ''))
    .replace(/^[ \t]*\/\/.*$/gm, '');
}

/** The layer of each folder of lib/; a file of lib/ itself is on top. */
export type Layers = ReadonlyMap<string, number>;

/** Imports within lib/ go to the same layer or down, and never out of lib/. */
export function upwardImports(files: readonly SourceFile[], layers: Layers, top: number): string[] {
  const layerOf = (path: string): number | undefined => {
    const [, folder = '', ...rest] = path.split('/');
    return rest.length === 0 ? top : layers.get(folder);
  };
  return files.flatMap(file => {
    const own = layerOf(file.path);
    if (own === undefined) return [`${file.path} is in a folder that has no layer`];
    return importsOf(file).flatMap(({ target }) => {
      if (!target.includes('/') || target.startsWith('node:') || !target.endsWith('.ts')) return [];
      if (!target.startsWith('lib/')) return [`${file.path} imports ${target}, which is not in lib`];
      const layer = layerOf(target);
      return layer !== undefined && layer <= own
        ? []
        : [`${file.path} (layer ${own}) imports ${target} (layer ${layer})`];
    });
  });
}

/** Cycles of imports that remain when types are erased: one sentence for each file that closes one. */
export function importCycles(files: readonly SourceFile[]): string[] {
  const graph = new Map(
    files.map(
      file =>
        [
          file.path,
          importsOf(file)
            .filter(i => !i.typeOnly)
            .map(i => i.target),
        ] as const,
    ),
  );
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, way: readonly string[]): void => {
    const at = way.indexOf(path);
    if (at >= 0) return void found.push([...way.slice(at), path].join(' → '));
    if (done.has(path)) return;
    for (const target of graph.get(path) ?? []) visit(target, [...way, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

/** Packages that may be imported in one place only; `homes` maps a package to the beginning of the path. */
export function strayPackages(files: readonly SourceFile[], homes: ReadonlyMap<string, string>): string[] {
  return files.flatMap(file =>
    importsOf(file).flatMap(({ target }) => {
      const name = target.startsWith('@')
        ? target.split('/', 2).join('/')
        : (target.split('/', 1)[0] ?? target);
      const home = homes.get(name);
      return home === undefined || file.path.startsWith(home)
        ? []
        : [`${file.path} imports ${name}, which belongs to ${home}`];
    }),
  );
}

/** Files of more lines than that. */
export function longFiles(files: readonly SourceFile[], lines: number): string[] {
  return files.flatMap(({ path, text }) => {
    const count = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
    return count > lines ? [`${path} has ${count} lines, ${lines} are the most`] : [];
  });
}

/** Folders and files not in kebab-case; `.spec` may stand before the ending. */
export function oddNames(files: readonly SourceFile[]): string[] {
  const kebab = /^[a-z0-9]+(-[a-z0-9]+)*$/;
  return files.flatMap(({ path }) => {
    const parts = path.replace(/(\.wide)?(\.spec)?\.ts$/, '').split('/');
    return parts.every(part => kebab.test(part)) ? [] : [`${path} is not in kebab-case`];
  });
}

const FORBIDDEN: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['a default export', /^export default\b|\bas default\b/],
  ['an enum', /^\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s+\w/],
  ['any', /(?:[:<|&(,]\s*|\bas\s+|=\s+)any(?:\[\])*\s*(?:[,;)>=|&{\]]|$)/],
  ['a namespace', /^\s*(?:export\s+)?(?:declare\s+)?namespace\s+\w/],
];

/** Default exports, enums, `any`, namespaces: in code, not in comments. */
export function forbiddenSyntax(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    withoutComments(text)
      .split('\n')
      .flatMap((line, at) =>
        FORBIDDEN.filter(([, pattern]) => pattern.test(line)).map(
          ([what]) => `${path}:${at + 1} has ${what}`,
        ),
      ),
  );
}

/** Notes to oneself, anywhere in a file: what is left to do is not left in the code. */
export function leftovers(files: readonly SourceFile[]): string[] {
  const words = new RegExp(
    `\\b(?:${['TO', 'FIX', 'X'].map((head, at) => head + ['DO', 'ME', 'XX'][at]).join('|')})\\b`,
  );
  return files.flatMap(({ path, text }) =>
    text
      .split('\n')
      .flatMap((line, at) => (words.test(line) ? [`${path}:${at + 1} has ${words.exec(line)?.[0]}`] : [])),
  );
}
