/** Plain data in, a configuration or findings out: the part of loading that knows of no file. */
import type { Config } from './config.ts';
import type { Finding } from './faults.ts';
import { formatPath } from './faults.ts';
import { findingsOf } from './issues.ts';
import { relationFindings } from './relations.ts';
import { resolve } from './resolve.ts';
import { configSchema } from './schema.ts';

export type Checked =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly findings: readonly Finding[] };

/** Checks every key by itself and all together. Of several findings about one value the first is kept. */
export function checkData(root: unknown): Checked {
  const result = configSchema.safeParse(root);
  const findings = relationFindings(root);
  if (result.success && findings.length === 0) return { ok: true, config: resolve(result.data) };
  const own = result.success ? [] : findingsOf(result.error.issues, root);
  return { ok: false, findings: onePerPath([...own, ...findings]) };
}

/** Drops what follows from an earlier finding about the same value. */
export function onePerPath(findings: readonly Finding[]): Finding[] {
  const first = new Map<string, Finding>();
  for (const finding of findings) {
    const path = `${formatPath(finding.path)} ${finding.path.length === 0 ? finding.expected : ''}`;
    if (!first.has(path)) first.set(path, finding);
  }
  return [...first.values()];
}
