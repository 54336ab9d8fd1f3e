import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Arguments, parseArguments, usage } from './arguments.ts';
import { startBackends } from './backends.ts';
import { createChildren } from './children.ts';
import { observeEnvironment } from './environment.ts';
import { asSvg } from './plot.ts';
import { asJson, asText } from './report.ts';
import { execute } from './run.ts';

/** `npm run bench`: arguments in, table out, and nothing left running whatever happens. */

async function bench(options: Arguments): Promise<void> {
  const at = new Date().toISOString();
  const described = options.subjects.map(subject => ({ subject, ...subject.describe() }));
  const subjects = described.filter(({ missing }) => missing === undefined);
  const missing = described.flatMap(({ subject, missing }) =>
    missing === undefined ? [] : [[subject.name, missing] as const],
  );
  if (subjects.length === 0) throw new Error('nothing to measure: no subject is installed');
  // A file that cannot be written should say so before the figures are there, not after.
  for (const file of [options.json, options.svg])
    if (file !== undefined) writeFileSync(file, '', { flag: 'a' });

  const children = createChildren();
  const folder = mkdtempSync(join(tmpdir(), 'smtplb-bench-'));
  // The last moment of this process, however it comes about: nothing survives it.
  process.once('exit', () => {
    children.killAll();
    rmSync(folder, { recursive: true, force: true });
  });
  const progress = (line: string) => void process.stderr.write(`${line}\n`);
  const environment = await observeEnvironment();
  const plan = { ...options, subjects: subjects.map(({ subject }) => subject), progress };
  async function measure() {
    const backends = await children.guard(startBackends(children));
    return execute(plan, { children, folder, backends });
  }
  const { outcomes, refused } = await measure().finally(() => children.stopAll());

  const report = {
    suite: options.suite,
    environment,
    at,
    rounds: options.rounds,
    subjects: new Map(
      subjects.flatMap(({ subject, says }) =>
        refused.has(subject.name) ? [] : [[subject.name, says] as const],
      ),
    ),
    missing: new Map([...missing, ...refused]),
    outcomes,
  };
  if (options.json !== undefined) writeFileSync(options.json, asJson(report));
  if (options.svg !== undefined) writeFileSync(options.svg, asSvg(report));
  process.stdout.write(asText(report));
}

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)
  process.once(signal, () => process.exit(status));

const options = parseArguments(process.argv.slice(2));
if (process.platform !== 'linux') {
  process.stderr.write('bench: needs Linux: CPU and memory are read from /proc\n');
  process.exitCode = 2;
} else if (options === undefined) {
  process.stdout.write(usage());
} else if (typeof options === 'string') {
  process.stderr.write(`bench: ${options}\n\n${usage()}`);
  process.exitCode = 2;
} else {
  await bench(options).catch(error => {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    // Work that was given up on may still wait for something.
    process.exit(1);
  });
}
