/**
 * From text to plain data: YAML 1.2 (core schema), one document, variables replaced. Whatever the text is, this
 * answers with data, findings or both; it does not throw.
 */
import type { Document } from 'yaml';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, Scalar } from 'yaml';
import { expand, hasReference, isVariable } from './env.ts';
import type { Finding, KeyPath } from './faults.ts';
import { quoted } from './faults.ts';
import type { Positions } from './positions.ts';
import { keyText, positionsIn } from './positions.ts';

/** How often what an anchor names may be used, those within it multiplied. */
const MAX_ALIASES = 1_000;
/** Levels of mappings and lists; the schema has seven. */
const MAX_DEPTH = 64;

export interface Source {
  /** Undefined where the text is too broken to go on; there is at least one finding then. */
  readonly data: { readonly root: unknown } | undefined;
  readonly findings: readonly Finding[];
  readonly positions: Positions;
  /** Plain scalars that were written with variables: a number or a flag may have been meant. */
  readonly substituted: readonly KeyPath[];
}

export function readDocument(text: string, env: NodeJS.ProcessEnv): Source {
  const lines = new LineCounter();
  try {
    return read(text, env, lines);
  } catch (error) {
    // The parser recurses: a few thousand brackets exhaust the stack.
    const what = error instanceof RangeError ? 'nested too deeply' : String(error);
    const finding = fileFinding(`the file cannot be read as YAML (${what})`, 0);
    return {
      data: undefined,
      findings: [finding],
      positions: positionsIn(undefined, lines),
      substituted: [],
    };
  }
}

function read(text: string, env: NodeJS.ProcessEnv, lines: LineCounter): Source {
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    schema: 'core',
    uniqueKeys: false,
    logLevel: 'silent',
  });
  const document: Document | undefined = Array.isArray(documents) ? documents[0] : undefined;
  const positions = positionsIn(document, lines);
  const broken = (findings: Finding[]): Source => ({ data: undefined, findings, positions, substituted: [] });
  const [, second] = Array.isArray(documents) ? documents : [];
  if (document === undefined || (isEmpty(document) && second === undefined)) {
    return broken([fileFinding('the file is empty, expected at least the keys listeners and pools', 0)]);
  }
  const findings = syntaxFindings(document);
  if (second !== undefined) {
    findings.push(fileFinding('a second document begins here, expected one in a file', second.range[0]));
  }
  if (findings.length > 0) return broken(findings);

  const visitor: Visitor = { text, document, env, findings, substituted: [] };
  visit(document.contents, [], visitor);
  if (findings.some(({ offset, path }) => offset !== undefined && path.length === 0)) return broken(findings);
  try {
    const root: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    return { data: { root }, findings, positions, substituted: visitor.substituted };
  } catch {
    return broken([
      ...findings,
      fileFinding('aliases are used too often, or one stands within its anchor', 0),
    ]);
  }
}

interface Visitor {
  readonly text: string;
  readonly document: Document;
  readonly env: NodeJS.ProcessEnv;
  readonly findings: Finding[];
  readonly substituted: KeyPath[];
}

/** Looks at every node as it is written; what an alias stands for is looked at where its anchor is. */
function visit(node: unknown, path: KeyPath, visitor: Visitor): void {
  const { findings } = visitor;
  if (path.length > MAX_DEPTH) throw new RangeError('too deep');
  if (isScalar(node)) {
    substitute(node, path, visitor);
  } else if (isSeq(node)) {
    node.items.forEach((item, at) => {
      visit(item, [...path, at], visitor);
    });
  } else if (isAlias(node)) {
    if (node.resolve(visitor.document) === undefined) {
      findings.push(fileFinding(`no anchor is named ${quoted(node.source)}`, node.range?.[0] ?? 0));
    }
  } else if (isMap(node)) {
    const seen = new Set<string>();
    for (const pair of node.items) {
      const name = keyText(pair.key);
      const offset = (pair.key as { range?: readonly number[] } | null)?.range?.[0] ?? node.range?.[0] ?? 0;
      if (name === undefined) {
        findings.push(fileFinding('found a key that is empty, a list or a mapping, expected a word', offset));
        continue;
      }
      if (seen.has(name)) {
        findings.push({
          path: [...path, name],
          at: 'key',
          offset,
          expected: `${quoted(name)} is given twice`,
        });
      }
      seen.add(name);
      visit(pair.value, [...path, name], visitor);
    }
  }
}

function substitute(node: Scalar, path: KeyPath, visitor: Visitor): void {
  if (typeof node.value !== 'string' || !hasReference(node.value)) return;
  const start = node.range?.[0] ?? 0;
  const { text, unset } = expand(node.value, visitor.env);
  for (const name of unset) {
    const expected = isVariable(name)
      ? `the environment variable ${name} is not set`
      : `found ${quoted(`\${${name}}`)}, expected the name of an environment variable, or $\${ for a plain \${`;
    visitor.findings.push({
      path,
      at: 'value',
      offset: Math.max(start, visitor.text.indexOf(`\${${name}}`, start)),
      expected,
    });
  }
  node.value = text;
  if (node.type === Scalar.PLAIN) visitor.substituted.push(path);
}

/** A document of nothing but comments. */
function isEmpty(document: Document): boolean {
  return document.contents === null || (isScalar(document.contents) && document.contents.value === null);
}

function fileFinding(expected: string, offset: number): Finding {
  return { path: [], at: 'value', offset, expected };
}

/** What the parser found, without the tokens that it only stumbles over because of what came before them. */
function syntaxFindings({ errors, warnings }: Document): Finding[] {
  return [...errors, ...warnings].flatMap(({ message, pos }, at) => {
    if (at > 0 && /^Unexpected .*(?:token|at node end)/.test(message)) return [];
    const sentence = message.split('\n')[0] ?? message;
    const hint = message.includes('at node end')
      ? '; text with brackets, braces or a colon needs quotes'
      : '';
    return [fileFinding(`not YAML: ${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}${hint}`, pos[0])];
  });
}
