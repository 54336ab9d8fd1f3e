/** From a file to a configuration, or to everything that is wrong with it, each with its place. */
import { createReadStream } from 'node:fs';
import { CONFIG_FILE_OCTETS } from '../core/limits.ts';
import { checkData, onePerPath } from './check.ts';
import type { Config } from './config.ts';
import type { Source } from './document.ts';
import { readDocument } from './document.ts';
import type { ConfigFault, Finding, KeyPath } from './faults.ts';
import { formatPath, parsePath } from './faults.ts';
import { valueAt } from './issues.ts';
import type { Position, Positions } from './positions.ts';
import { NOWHERE } from './positions.ts';

export type Loaded =
  | {
      readonly ok: true;
      readonly config: Config;
      /** Where a key path such as `pools[0].sticky` is written; where it is left to its default, its parent. */
      locate(path: string): Position;
    }
  /** At least one fault, in the order of the file. */
  | { readonly ok: false; readonly faults: readonly ConfigFault[] };

/**
 * Reads a configuration from YAML. `file` is what faults call it. `${NAME}` is replaced from `env`.
 * Never throws, whatever the text is.
 */
export function loadConfigText(text: string, file: string, env: NodeJS.ProcessEnv): Loaded {
  if (Buffer.byteLength(text) > CONFIG_FILE_OCTETS) return unread(file, tooLong());
  const source = readDocument(text, env);
  const { positions } = source;
  const checked = source.data === undefined ? undefined : checkSource(source.data.root, source);
  if (checked?.ok && source.findings.length === 0) {
    return { ok: true, config: checked.config, locate: path => positions.of(parsePath(path), 'key') };
  }
  const more = checked === undefined || checked.ok ? [] : checked.findings;
  const findings = onePerPath([...source.findings, ...more]);
  return { ok: false, faults: findings.map(finding => place(finding, file, positions)).sort(inOrder) };
}

/** Reads a configuration file of at most `CONFIG_FILE_OCTETS`. One that cannot be read is a fault as well. */
export async function loadConfigFile(file: string, env: NodeJS.ProcessEnv): Promise<Loaded> {
  const chunks: Buffer[] = [];
  try {
    // One octet more than is allowed tells a file that is too long; a pipe or device may have no end.
    for await (const chunk of createReadStream(file, { end: CONFIG_FILE_OCTETS }))
      chunks.push(chunk as Buffer);
  } catch (error) {
    return unread(
      file,
      `the file cannot be read (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  const bytes = Buffer.concat(chunks);
  if (bytes.length > CONFIG_FILE_OCTETS) return unread(file, tooLong());
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return unread(file, 'the file is not UTF-8, expected YAML text');
  }
  return loadConfigText(text, file, env);
}

/** A value that came from a variable may be a number or a flag: tried as one only where text is refused. */
function checkSource(root: unknown, source: Source) {
  const checked = checkData(root);
  if (checked.ok) return checked;
  const refused = checked.findings.map(({ path }) => path);
  const retyped = source.substituted.filter(
    path => refused.some(other => startsWith(path, other)) && retype(root, path),
  );
  return retyped.length === 0 ? checked : checkData(root);
}

/** Whether the text at `path` was replaced by the number or flag that it spells. */
function retype(root: unknown, path: KeyPath): boolean {
  const [parent, last] = [valueAt(root, path.slice(0, -1)), path.at(-1)];
  const text = valueAt(root, path);
  if (typeof text !== 'string' || !/^(?:\d{1,15}|true|false)$/.test(text) || last === undefined) return false;
  const value = text === 'true' || (text === 'false' ? false : Number(text));
  Object.assign(parent as object, { [last]: value });
  return true;
}

function startsWith(path: KeyPath, start: KeyPath): boolean {
  return start.length <= path.length && start.every((part, at) => part === path[at]);
}

function place(finding: Finding, file: string, positions: Positions): ConfigFault {
  const { offset, path, at, expected } = finding;
  const position = offset === undefined ? positions.of(path, at) : positions.at(offset);
  return { file, ...position, path: formatPath(path), expected };
}

function inOrder(a: ConfigFault, b: ConfigFault): number {
  return a.line - b.line || a.column - b.column || (a.path < b.path ? -1 : 1);
}

function unread(file: string, expected: string): Loaded {
  return { ok: false, faults: [place({ path: [], at: 'value', expected }, file, NOWHERE)] };
}

function tooLong(): string {
  return `the file is longer than ${CONFIG_FILE_OCTETS} octets`;
}
