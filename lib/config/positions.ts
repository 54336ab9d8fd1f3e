/** Where in the text of a file a key path is. */
import type { Document, Node, Pair } from 'yaml';
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter } from 'yaml';
import type { KeyPath } from './faults.ts';

/** A place in a text; both from 1. Columns count UTF-16 units, as editors do. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface Positions {
  /** The place of an offset into the text. */
  at(offset: number): Position;
  /**
   * The place of the key or of the value at `path`. A path that leads nowhere gives the place of the mapping or
   * list where it ends; an alias gives the place of what it stands for. Never fails.
   */
  of(path: KeyPath, what: 'key' | 'value'): Position;
}

export function positionsIn(document: Document | undefined, lines: LineCounter): Positions {
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return line < 1 ? { line: 1, column: 1 } : { line, column: Math.max(1, col) };
  };
  return {
    at,
    of(path, what) {
      return at(offsetOf(document, path, what));
    },
  };
}

/** Positions of a text that was not even read: all at its beginning. */
export const NOWHERE: Positions = positionsIn(undefined, new LineCounter());

function offsetOf(document: Document | undefined, path: KeyPath, what: 'key' | 'value'): number {
  let node = standingFor(document?.contents, document);
  let offset = startOf(node) ?? 0;
  for (const part of path) {
    const child = childOf(node, part);
    if (child === undefined) return offset;
    node = standingFor(isPair(child) ? child.value : child, document);
    const key = isPair(child) ? startOf(child.key) : undefined;
    const empty = isScalar(node) && node.value === null && node.source === '';
    const value = empty ? undefined : startOf(node);
    offset = (what === 'key' || value === undefined ? (key ?? value) : value) ?? offset;
  }
  return offset;
}

function childOf(node: unknown, part: string | number): Pair | Node | undefined {
  if (isSeq(node)) return typeof part === 'number' ? (node.items[part] as Node | undefined) : undefined;
  // Of a key that is given twice the last one is read, and the fault names it.
  if (isMap(node)) return node.items.findLast(pair => keyText(pair.key) === String(part));
  return undefined;
}

/** The text of a key, undefined where it is no scalar. */
export function keyText(key: unknown): string | undefined {
  return isScalar(key) && key.value !== null ? String(key.value) : undefined;
}

function standingFor(node: unknown, document: Document | undefined): unknown {
  return isAlias(node) && document !== undefined ? node.resolve(document) : node;
}

function startOf(node: unknown): number | undefined {
  const range = (node as { range?: readonly number[] | null } | null | undefined)?.range;
  return range?.[0];
}
