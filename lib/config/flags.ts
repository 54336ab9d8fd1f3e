/** A configuration from the flags of `smtplb run`, for those who need no file. */
import { checkData } from './check.ts';
import type { ConfigFault, Finding } from './faults.ts';
import { formatPath } from './faults.ts';
import type { Loaded } from './load.ts';
import { DEFAULT_POOL } from './names.ts';

export interface RunFlags {
  /** `--listen`, as often as it was given. */
  readonly listen: readonly string[];
  /** `--backend`, as often as it was given. */
  readonly backend: readonly string[];
  /** `--admin`. */
  readonly admin?: string;
}

const COMMAND_LINE = { file: 'command line', line: 0, column: 0 };

/**
 * One listener and one pool with these backends; everything else has its default, and all is checked as in a
 * file. Faults have no line and name the flag.
 */
export function configFromFlags(flags: RunFlags): Loaded {
  const checked = checkData({
    listeners: [{ listen: flags.listen, pool: DEFAULT_POOL }],
    pools: [{ name: DEFAULT_POOL, backends: flags.backend.map(address => ({ address })) }],
    ...(flags.admin === undefined ? {} : { admin: { listen: flags.admin } }),
  });
  if (checked.ok) return { ok: true, config: checked.config, locate: () => ({ line: 0, column: 0 }) };
  return { ok: false, faults: checked.findings.map(flagFault) };
}

function flagFault({ path, expected }: Finding): ConfigFault {
  const key = formatPath(path);
  const flag = key.startsWith('admin') ? '--admin' : key.startsWith('pools') ? '--backend' : '--listen';
  const sentence = expected
    .replace('found an empty list', 'missing')
    .replaceAll(/listeners\[0\]\.listen(?:\[\d+\])?/g, '--listen')
    .replaceAll(/pools\[0\]\.backends\[\d+\]/g, '--backend')
    .replaceAll('admin.listen', '--admin');
  return { ...COMMAND_LINE, path: flag, expected: sentence };
}
