/** The documentation says what the program does, and its links lead somewhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { packageRoot } from '../../lib/core/package.ts';
import { configurationReference, REFERENCE } from '../../tools/configuration-reference.ts';
import { headingAnchors } from '../support/markdown.ts';

const ROOT = fileURLToPath(packageRoot);
const PAGES = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => join('docs', name)),
];

t.test('the reference of the configuration is current: npm run docs', async t => {
  t.equal(readFileSync(REFERENCE, 'utf8'), configurationReference());
});

t.test('links lead to files that are there, and to headings in them', async t => {
  let links = 0;
  for (const page of PAGES) {
    const text = readFileSync(join(ROOT, page), 'utf8').replace(/^```[\s\S]*?^```/gm, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      links++;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : relative(ROOT, join(ROOT, dirname(page), path));
      t.ok(existsSync(join(ROOT, file)), `${page} links to ${target}`);
      if (anchor !== undefined && existsSync(join(ROOT, file)))
        t.ok(headingAnchors(readFileSync(join(ROOT, file), 'utf8')).has(anchor), `${page}: ${target}`);
    }
  }
  t.ok(links > 50, `${links} links`);
});

t.test('every page is reached from the README', async t => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  for (const page of PAGES.slice(1)) t.ok(readme.includes(`(${page})`), page);
});
