/**
 * Spec files that take long: each in a process of its own, compiled and without the hooks of the test runner, several at
 * a time. Most of them wait for most of the time; those that measure run when nothing else does.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../../lib/core/package.ts';
import { modulePath } from './checkout.ts';
import { runPlainly } from './plainly.ts';

const SLOW = new URL('../slow/', import.meta.url);

/** Files that run at a time, on two cores. */
const JOBS = 3;

/** Seconds that one file may take on a machine that gives it little. */
const PATIENCE_S = 300;

/** Begun first, since they take longest: else the others would be over, and a core would wait. */
const LONG: readonly string[] = ['redis-faults', 'redis-clocks', 'redis-topology', 'upgrade', 'shard-faults'];

/** What is measured against other measurements of the same moments, and keeps two cores busy by itself. */
const ALONE: readonly string[] = ['cluster-spread', 'crowd', 'fairness'];

/** Run once more as it is: the program starts from its sources as well, and so does its successor. */
const FROM_SOURCE = 'cluster-upgrade';

/** A file as arguments for Node, and its name in the output. */
interface Run {
  readonly name: string;
  readonly args: readonly string[];
}

/** Runs all files of spec/slow/, or those named. */
export async function runApart(names: readonly string[]): Promise<void> {
  if (await runPlainly()) return;
  const { default: t } = await import('tap');
  const all = readdirSync(SLOW)
    .filter(file => /\.spec\.[jt]s$/.test(file))
    .map(file => file.split('.')[0] as string);
  const asked = all.filter(name => names.length === 0 || names.includes(name));
  const rank = (name: string): number => LONG.indexOf(name) + 1 || LONG.length + 1;
  const apart = ({ args, name }: Run) =>
    t.spawn(
      'env',
      // The runner has everything that it starts load its hooks.
      ['-u', 'NODE_OPTIONS', process.execPath, ...args],
      { env: { ...process.env, TAP_TIMEOUT: `${PATIENCE_S}` }, timeout: 1_000 * PATIENCE_S },
      name,
    );
  const compiled = (name: string): Run => ({
    name,
    args: ['--enable-source-maps', modulePath(`spec/slow/${name}.spec`)],
  });

  t.jobs = JOBS;
  const together = asked.filter(name => !ALONE.includes(name)).sort((one, other) => rank(one) - rank(other));
  const runs = together.map(compiled);
  if (together.includes(FROM_SOURCE)) {
    const source = fileURLToPath(new URL(`spec/slow/${FROM_SOURCE}.spec.ts`, packageRoot));
    runs.push({ name: `${FROM_SOURCE} from its source`, args: ['--import', 'tsx', source] });
  }
  await Promise.all(runs.map(apart));
  t.jobs = 1;
  for (const name of asked.filter(name => ALONE.includes(name))) await apart(compiled(name));
}
