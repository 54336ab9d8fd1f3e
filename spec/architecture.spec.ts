import t from 'tap';
import {
  forbiddenSyntax,
  importCycles,
  importsOf,
  leftovers,
  longFiles,
  oddNames,
  type SourceFile,
  sourceFiles,
  strayPackages,
  upwardImports,
} from './support/architecture.ts';

/** Imports in lib/ only go down; a file of lib/ itself (the composition root and its helpers) is on top. */
const TOP = 6;
const LAYERS = new Map(
  [
    ['core'],
    ['smtp', 'proxy-protocol', 'xclient'],
    ['transport', 'tls'],
    ['session', 'admission', 'balancer', 'pool'],
    ['shard'],
    ['config', 'admin', 'metrics', 'cluster', 'health'],
    ['cli'],
  ].flatMap((folders, layer) => folders.map(folder => [folder, layer] as const)),
);

/** What is known in one place only can be replaced in one place. */
const HOMES = new Map([
  ['zod', 'lib/config/'],
  ['yaml', 'lib/config/'],
  ['prom-client', 'lib/metrics/'],
  ['pino', 'lib/core/log.ts'],
  ['ioredis', 'lib/cluster/'],
  ['koffi', 'lib/transport/linux/'],
]);

const LINES = 350;

const lib = sourceFiles('lib');
const program = [...lib, ...sourceFiles('bin')];
const everything = [...program, ...sourceFiles('bench', 'spec', 'tools')];

t.test('the code keeps the rules of its layout', async t => {
  t.ok(lib.length > 50 && everything.length > lib.length, `${everything.length} files were looked at`);
  t.strictSame(upwardImports(lib, LAYERS, TOP), [], 'imports go down the layers');
  t.strictSame(importCycles(everything), [], 'no import cycles');
  t.strictSame(strayPackages(program, HOMES), [], 'packages are imported where they belong');
});

t.test('the code keeps the rules of its style', async t => {
  t.strictSame(longFiles(everything, LINES), [], `files have at most ${LINES} lines`);
  t.strictSame(oddNames(everything), [], 'names are in kebab-case');
  // This file makes such code up, below.
  const others = everything.filter(({ path }) => path !== 'spec/architecture.spec.ts');
  t.strictSame(forbiddenSyntax(others), [], 'no default exports, no enums, no any');
  t.strictSame(leftovers(everything), [], 'nothing is left to be done');
});

const file = (path: string, text: string): SourceFile => ({ path, text });

t.test('imports are found in each of their forms', async t => {
  const text = [
    "import { a } from './a.ts';",
    "import type { B } from '../b/b.ts';",
    'import {\n  type C,\n  type D,\n} from "./c.ts";',
    "import { type E, f } from './e.ts';",
    "export { g } from './g.ts';",
    "export type { H } from './h.ts';",
    "import './bare.ts';",
    "const lazy = await import('koffi');",
    "// import { z } from './comment.ts';",
    "/**\n * import { z } from './comment.ts';\n */",
  ].join('\n');
  t.strictSame(importsOf(file('lib/x/y.ts', text)), [
    { target: 'lib/x/a.ts', typeOnly: false },
    { target: 'lib/b/b.ts', typeOnly: true },
    { target: 'lib/x/c.ts', typeOnly: true },
    { target: 'lib/x/e.ts', typeOnly: false },
    { target: 'lib/x/g.ts', typeOnly: false },
    { target: 'lib/x/h.ts', typeOnly: true },
    { target: 'lib/x/bare.ts', typeOnly: false },
    { target: 'koffi', typeOnly: false },
  ]);
});

t.test('an import that goes up, or out, is found', async t => {
  const found = (path: string, target: string) =>
    upwardImports([file(path, `import type { X } from '${target}';`)], LAYERS, TOP);
  t.strictSame(found('lib/session/a.ts', '../core/b.ts'), []);
  t.strictSame(found('lib/session/a.ts', '../balancer/b.ts'), [], 'sideways');
  t.strictSame(found('lib/server.ts', './cli/b.ts'), []);
  t.strictSame(found('lib/transport/net/a.ts', '../../core/b.ts'), []);
  t.strictSame(found('lib/session/a.ts', 'zod'), [], 'packages have rules of their own');
  t.strictSame(found('lib/core/a.ts', '../session/b.ts'), [
    'lib/core/a.ts (layer 0) imports lib/session/b.ts (layer 3)',
  ]);
  t.equal(found('lib/admin/a.ts', '../server.ts').length, 1);
  t.equal(found('lib/core/a.ts', '../unheard-of/b.ts').length, 1);
  t.equal(found('lib/core/a.ts', '../../spec/b.ts').length, 1);
  t.equal(found('lib/unheard-of/a.ts', '../core/b.ts').length, 1);
});

t.test('a cycle is found, unless it is one of types only', async t => {
  const cycle = (how: string) =>
    importCycles([
      file('lib/a.ts', "import { b } from './b.ts';"),
      file('lib/b.ts', "import { c } from './c.ts';"),
      file('lib/c.ts', `import ${how} from './a.ts';`),
    ]);
  t.strictSame(cycle('{ a }'), ['lib/a.ts → lib/b.ts → lib/c.ts → lib/a.ts']);
  t.strictSame(cycle('type { A }'), []);
  t.strictSame(cycle('{ type A }'), []);
  t.equal(importCycles([file('lib/a.ts', "import { a } from './a.ts';")]).length, 1);
});

t.test('a package away from its home is found', async t => {
  const found = (path: string, name: string) =>
    strayPackages([file(path, `import { x } from '${name}';`)], HOMES);
  t.strictSame(found('lib/config/schema.ts', 'zod'), []);
  t.equal(found('lib/session/session.ts', 'zod').length, 1);
  t.equal(found('lib/session/session.ts', 'zod/v4').length, 1, 'by another entrance');
  t.equal(found('lib/core/clock.ts', 'pino').length, 1);
  t.strictSame(found('lib/core/clock.ts', 'node:net'), []);
});

t.test('a file too long, or with an odd name, is found', async t => {
  t.strictSame(longFiles([file('a.ts', 'x\n'.repeat(350))], 350), []);
  t.equal(longFiles([file('a.ts', 'x\n'.repeat(351))], 350).length, 1);
  t.equal(longFiles([file('a.ts', `${'x\n'.repeat(350)}x`)], 350).length, 1);
  t.strictSame(
    oddNames([
      file('lib/proxy-protocol/decode-v1.ts', ''),
      file('spec/a-b.spec.ts', ''),
      file('spec/a-b.wide.spec.ts', ''),
    ]),
    [],
  );
  t.equal(oddNames([file('lib/fooBar.ts', ''), file('lib/Foo/x.ts', ''), file('lib/a_b.ts', '')]).length, 3);
});

t.test('forbidden syntax and leftovers are found', async t => {
  const any = [
    'x: any;',
    'f(a: any, b)',
    'x as any)',
    'Map<string, any>',
    'Array<any>',
    'x: any[] = []',
    'a | any;',
  ];
  for (const line of [...any, 'type X = any;'])
    t.equal(forbiddenSyntax([file('a.ts', line)]).length, 1, line);
  const bad = [
    'export default 1;',
    'export { x as default };',
    'enum A {',
    'export const enum A {',
    'namespace A {',
  ];
  for (const line of bad) t.equal(forbiddenSyntax([file('a.ts', line)]).length, 1, line);
  for (const line of [
    '// takes any, all',
    ' * any;',
    "'any free one'",
    'const many = 1;',
    'const enumerable = 1;',
  ])
    t.strictSame(
      forbiddenSyntax([file('a.ts', `/**\n${line}\n */`), file('b.ts', line.replace(/^ \*/, '//'))]),
      [],
      line,
    );
  t.strictSame(leftovers([file('a.ts', `x\n// ${'TO'}${'DO'}: y`)]), [`a.ts:2 has ${'TO'}${'DO'}`]);
  t.equal(leftovers([file('a.ts', `${'FIX'}${'ME'}`), file('b.ts', 'METHODOLOGY, mastodon')]).length, 1);
});
