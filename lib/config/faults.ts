/** What is wrong with a configuration, and how it is said. */

/** The keys and list positions that lead to a value. */
export type KeyPath = readonly (string | number)[];

/** One thing an operator has to put right. */
export interface ConfigFault {
  /** The file as it was named by the caller, or `command line`. */
  readonly file: string;
  /** From 1; 0 where the fault is in no file. */
  readonly line: number;
  readonly column: number;
  /** `listeners[0].tls.mode`; empty where the fault is in the file as a whole; a flag on the command line. */
  readonly path: string;
  /** A sentence: what was found, what was expected. */
  readonly expected: string;
}

/** A fault that has no position yet. */
export interface Finding {
  readonly path: KeyPath;
  /** Whether the key itself is to blame, or its value. A path that leads nowhere blames its parent. */
  readonly at: 'key' | 'value';
  /** Where in the text, if it is known better than by the path. */
  readonly offset?: number;
  readonly expected: string;
}

/** `FILE:LINE:COLUMN: PATH: SENTENCE`, the form editors jump to; one line, without control characters. */
export function formatFault(fault: ConfigFault): string {
  const position = fault.line === 0 ? fault.file : `${fault.file}:${fault.line}:${fault.column}`;
  return [position, fault.path, fault.expected]
    .filter(part => part !== '')
    .map(escapeControls)
    .join(': ');
}

/** `listeners[0].tls.mode`; keys that are no words are quoted: `pools[0]["x y"]`. */
export function formatPath(path: KeyPath): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `["${escapeControls(shorten(part))}"]`;
  }
  return text;
}

/** The reverse, for paths made of words and positions. */
export function parsePath(text: string): KeyPath {
  const parts = text.matchAll(/\[(\d+)\]|\["([^"]*)"\]|([^.[\]]+)/g);
  return Array.from(parts, ([, position, quoted, word]) =>
    position === undefined ? (quoted ?? word ?? '') : Number(position),
  );
}

/** What an operator wrote, in a few words. `secret` values are not repeated. */
export function describeValue(value: unknown, secret = false): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object') return 'a mapping';
  if (value === '') return 'empty text';
  if (secret) return 'a value that is not shown';
  return typeof value === 'string' ? quoted(value) : `the ${typeof value} ${String(value)}`;
}

/** Outside text between backticks: shortened, on one line. */
export function quoted(text: string): string {
  return `\`${escapeControls(shorten(text))}\``;
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

/** C0, C1, DEL, line separators and marks that turn the direction of text, as `\u{...}`. */
export function escapeControls(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    character => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
