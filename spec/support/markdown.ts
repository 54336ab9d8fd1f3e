/** Reading the tables of the documentation, so that a test can hold them against the program. */
import { readFileSync } from 'node:fs';
import { packageRoot } from '../../lib/core/package.ts';

/** The rows of the one table under a heading, header and rule left out: each cell's text, code marks removed. */
export function tableUnder(markdown: string, heading: string): readonly (readonly string[])[] {
  const lines = markdown.split('\n');
  const from = lines.findIndex(line => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading);
  if (from < 0) throw new Error(`there is no heading "${heading}"`);
  const length = lines.slice(from + 1).findIndex(line => /^#+ /.test(line));
  const section = lines.slice(from + 1, length < 0 ? undefined : from + 1 + length);
  const rows = section.filter(line => line.startsWith('|')).map(cells);
  if (rows.length < 3) throw new Error(`there is no table under "${heading}"`);
  return rows.slice(2);
}

function cells(line: string): readonly string[] {
  const inner = line.replace(/^\|/, '').replace(/\|$/, '');
  return inner.split('|').map(cell => cell.trim().replace(/^`([^`]*)`$/, '$1'));
}

/** A page of docs/. */
export function page(name: string): string {
  return readFileSync(new URL(`docs/${name}`, packageRoot), 'utf8');
}

/** The places within a page that a link can name, as the sites that show Markdown make them of its headings. */
export function headingAnchors(markdown: string): ReadonlySet<string> {
  const text = markdown.replace(/^```[\s\S]*?^```/gm, '');
  return new Set(
    Array.from(text.matchAll(/^#+ (.*)$/gm), ([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}
