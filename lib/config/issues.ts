/** From zod's issues to findings. The messages they carry are those of `pieces.ts`: expectations, not sentences. */
import type { z } from 'zod';
import type { Finding, KeyPath } from './faults.ts';
import { describeValue, quoted } from './faults.ts';
import { nearest } from './names.ts';

type Issue = z.core.$ZodIssue;

/** All that zod has to say about `root`, in our words. */
export function findingsOf(issues: readonly Issue[], root: unknown): Finding[] {
  return issues.flatMap(issue => findingOf(issue, [], root));
}

function findingOf(issue: Issue, prefix: KeyPath, root: unknown): Finding[] {
  const path = [...prefix, ...issue.path.map(part => (typeof part === 'number' ? part : String(part)))];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(key => unknownKey(path, key, issue.message.split(' ')));
  }
  if (issue.code === 'invalid_union') {
    const branch = meantBranch(issue.errors);
    if (branch !== undefined) return branch.flatMap(inner => findingOf(inner, path, root));
  }
  if (issue.code === 'custom' && isWhole(issue.params)) {
    return [{ path, at: 'value', expected: issue.message }];
  }
  const value = valueAt(root, path);
  const found = value === undefined ? 'missing' : `found ${describeValue(value, isSecret(path))}`;
  const meant = issue.code === 'invalid_value' && typeof value === 'string' ? issue.values.map(String) : [];
  return [{ path, at: 'value', expected: `${found}, expected ${issue.message}${didYouMean(value, meant)}` }];
}

function isWhole(params: { readonly whole?: unknown } | undefined): boolean {
  return params?.whole === true;
}

function unknownKey(parent: KeyPath, key: string, known: readonly string[]): Finding {
  const hint = didYouMean(key, known);
  const expected = hint === '' ? `, expected one of ${known.join(', ')}` : hint;
  return { path: [...parent, key], at: 'key', expected: `unknown key ${quoted(key)}${expected}` };
}

/** `; did you mean ...?`, or nothing. */
export function didYouMean(given: unknown, candidates: Iterable<string>): string {
  const best = typeof given === 'string' ? nearest(given, candidates) : undefined;
  return best === undefined ? '' : `; did you mean \`${best}\`?`;
}

/**
 * The branch of a union that the operator meant: the only one whose type is that of the value, or of several the
 * one with the fewest issues. Undefined where no branch stands out; the union then speaks for itself.
 */
function meantBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const fitting = branches.filter(
    issues => !issues.some(({ code, path }) => path.length === 0 && isAboutType(code)),
  );
  const [best, next] = fitting.sort((a, b) => a.length - b.length);
  return best !== undefined && best.length !== next?.length ? best : undefined;
}

function isAboutType(code: Issue['code']): boolean {
  return code !== 'unrecognized_keys' && code !== 'too_small' && code !== 'too_big';
}

/** Values that must not end up in a terminal's history or a log. */
function isSecret(path: KeyPath): boolean {
  return (path[0] === 'admin' && path[1] === 'token') || (path[0] === 'cluster' && path[1] === 'redis');
}

/** What is at `path`, undefined where nothing is. */
export function valueAt(root: unknown, path: KeyPath): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}
