/**
 * Writes docs/configuration.md from the schema, so that the reference says what the program does: `npm run docs`.
 * With `--check` it writes nothing, and exits with 1 where the page is not current.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatFault } from '../lib/config/faults.ts';
import { configJsonSchema } from '../lib/config/json-schema.ts';
import { loadConfigText } from '../lib/config/load.ts';
import { packageRoot } from '../lib/core/package.ts';
import { BROKEN, ENDING, HEAD, NOTATIONS, WHOLE_FILE } from './configuration-text.ts';

/** As much of JSON Schema as ours uses. */
interface Schema {
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

/** A mapping of the file: where it is, what it is for, and its keys. */
interface Section {
  readonly path: string;
  readonly meaning: string;
  readonly keys: ReadonlyMap<string, Schema>;
}

/** What a description says, in its three parts. */
interface Described {
  readonly meaning: string;
  readonly takes: string;
  /** `required`, or what holds where the key is left out. Empty for a mapping whose own keys have defaults. */
  readonly without: string;
}

const DURATION_SAMPLES = /, such as 250ms, 5s or 1m30s/;

export const REFERENCE = fileURLToPath(new URL('docs/configuration.md', packageRoot));

/** The page as the schema, the whole example and the checks of this moment have it. */
export function configurationReference(): string {
  const root = JSON.parse(JSON.stringify(configJsonSchema())) as Schema;
  const example = readFileSync(new URL('examples/full.yaml', packageRoot), 'utf8');
  const sections = sectionsOf(root, '', '');
  const known = new Set(sections.map(({ path }) => path));
  return [
    HEAD,
    `${WHOLE_FILE}\n\n\`\`\`yaml\n${example}\`\`\``,
    NOTATIONS,
    ...sections.map(section => sectionText(section, known)),
    faultsText(),
    ENDING,
  ]
    .filter(part => part !== '')
    .join('\n\n')
    .concat('\n');
}

/** The mappings below a schema, the outer before the inner, in the order of the file. */
function sectionsOf(at: Schema, path: string, meaning: string): Section[] {
  const mappings = [at, ...(at.anyOf ?? [])].filter(({ properties }) => properties !== undefined);
  const own = mappings.map(({ properties = {} }) => ({
    path,
    meaning,
    keys: new Map(Object.entries(properties)),
  }));
  const inner = own.flatMap(({ keys }) =>
    [...keys].flatMap(([name, schema]) =>
      sectionsOf(schema, path === '' ? name : `${path}.${name}`, described(schema).meaning),
    ),
  );
  const items = at.items === undefined ? [] : sectionsOf(at.items, `${path}[]`, meaning);
  // A key that takes one of several mappings has one section with the keys of all.
  const merged =
    own.length < 2 ? own : [{ path, meaning, keys: new Map(own.flatMap(({ keys }) => [...keys])) }];
  return [...merged, ...inner, ...items];
}

function described({ description = '' }: Schema): Described {
  const [, meaning, rest] = /^(.*?) Takes (.*)$/s.exec(description) ?? [];
  if (meaning === undefined || rest === undefined) throw new Error(`no "Takes" in: ${description}`);
  const parts = /^(.*)\. (?:(Required)|Default: (.*))\.$/s.exec(rest);
  if (parts === null) return { meaning, takes: rest.replace(/\.$/, ''), without: '' };
  const [, takes = '', required, fallback = ''] = parts;
  return { meaning, takes, without: required === undefined ? fallback : '**required**' };
}

function sectionText({ path, meaning, keys }: Section, known: ReadonlySet<string>): string {
  const heading = path === '' ? '## The keys' : `### ${path}`;
  const rows = [...keys].map(([name, schema]) => {
    const { meaning: text, takes, without } = described(schema);
    const inner = [path === '' ? name : `${path}.${name}`, `${path === '' ? name : `${path}.${name}`}[]`];
    const link = inner.find(place => known.has(place));
    const cells = [
      link === undefined ? `\`${name}\`` : `[\`${name}\`](#${anchor(link)})`,
      takes.replace(DURATION_SAMPLES, ''), // under "Notations", once
      fallbackText(schema, without),
      text,
    ];
    return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  const lead = meaning === '' ? 'A file is one mapping with these keys.' : meaning;
  return [
    heading,
    '',
    lead,
    '',
    '| key | takes | default | meaning |',
    '| --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

/** A default that could be written in a file is shown as such; the others are words. */
function fallbackText({ default: fallback }: Schema, without: string): string {
  if (fallback === '') return '`""`';
  return fallback === undefined || without === '' ? without : `\`${without}\``;
}

/** As the places that show this page make anchors of headings. */
function anchor(heading: string): string {
  return heading.toLowerCase().replace(/[^a-z0-9 _-]/g, '');
}

/** What `check` says of a file with faults: said by the program itself. */
function faultsText(): string {
  const loaded = loadConfigText(BROKEN, 'mail.yaml', {});
  if (loaded.ok) throw new Error('the file with faults has none');
  return [
    '## How faults look',
    '',
    '`smtplb check FILE`, `smtplb run` and a reload name every fault at once: file, line, column, key, what was found',
    'and what was expected. `check` and `run` exit with 2; a running instance keeps what it has. This file',
    '',
    `\`\`\`yaml\n${BROKEN}\`\`\``,
    '',
    'gets these answers:',
    '',
    `\`\`\`\n${loaded.faults.map(fault => `${formatFault(fault)}\n`).join('')}\`\`\``,
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const page = configurationReference();
  if (!process.argv.includes('--check')) writeFileSync(REFERENCE, page);
  else if (readFileSync(REFERENCE, 'utf8') !== page) {
    process.stderr.write('docs/configuration.md is not current: npm run docs\n');
    process.exitCode = 1;
  }
}
