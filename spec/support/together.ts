/**
 * Many spec files in one process. To start a process, and to load the program into it, takes longer than most of them
 * do; each still runs on its own as well: `npx tap spec/core/text.spec.ts`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { eventually } from './eventually.ts';
import { runPlainly } from './plainly.ts';

const SPECS = new URL('../', import.meta.url);

/** What must not outlive a spec file: nobody would find whose it was. */
const LASTING: readonly string[] = ['TCPServerWrap', 'ProcessWrap'];

/** USER_HZ, the same on all of Linux. */
const TICKS_A_SECOND = 100;

/** All spec files but the slow ones, as paths below spec/, in order; the wide run's own, or those of `npm test`. */
function allSpecs(run: 'wide' | 'usual'): string[] {
  return readdirSync(SPECS, { recursive: true, encoding: 'utf8' })
    .map(path => path.replaceAll('\\', '/'))
    .filter(path => /\.spec\.[jt]s$/.test(path) && !path.startsWith('slow/'))
    .filter(path => /\.wide\.spec\.[jt]s$/.test(path) === (run === 'wide'))
    .sort();
}

/** A part of those in a folder of spec/: the third of five with `(…, 3, 5)`. */
export function specsOf(folder: string, part: number, parts: number): string[] {
  return share(
    allSpecs('usual').filter(path => path.startsWith(`${folder}/`)),
    part,
    parts,
  );
}

/** As `specsOf`, on the transports that `npm test` leaves out: a file that asks for none of them has nothing to add. */
export function specsOnOthers(folder: string, part: number, parts: number): string[] {
  process.env['SMTPLB_TRANSPORTS'] = 'rest';
  return share(
    specsOf(folder, 1, 1).filter(path => /\bTRANSPORTS\b/.test(readFileSync(new URL(path, SPECS), 'utf8'))),
    part,
    parts,
  );
}

/** A part of those that are not in that folder. */
export function specsOutside(folder: string, part: number, parts: number): string[] {
  return share(
    allSpecs('usual').filter(path => !path.startsWith(`${folder}/`)),
    part,
    parts,
  );
}

/** A part of those that are too long for `npm test`. */
export function wideSpecs(part: number, parts: number): string[] {
  return share(allSpecs('wide'), part, parts);
}

/** Every so many, since those that take long have neighbours that do. */
function share(paths: readonly string[], part: number, parts: number): string[] {
  return paths.filter((_, at) => at % parts === part - 1);
}

/** Runs the files one after another; each has to leave the process as it was. */
export async function runTogether(files: readonly string[]): Promise<void> {
  if (await runPlainly()) return;
  const { default: t } = await import('tap');
  let over = 0;
  // One file can end the tests of all that follow (`t.end`, and on the outermost level `t.teardown`): they would be missing.
  process.on('exit', () => {
    if (over === files.length) return;
    process.stderr.write(`only ${over} of ${files.length} files have run\n`);
    process.exitCode = 1;
  });
  for (const file of files) {
    const before = lasting();
    const [startedAt, cpu, others] = [performance.now(), process.cpuUsage(), childrenSeconds()];
    try {
      await import(new URL(file, SPECS).href);
    } catch (error) {
      t.fail(`${file} cannot be loaded`, { error });
    }
    // Tests of one process run in turn: when this one does, the file's own are over.
    await t.test(`${file} leaves nothing running`, async t => {
      over++;
      const { user, system } = process.cpuUsage(cpu);
      const own = ((user + system) / 1e6).toFixed(1);
      const more = (childrenSeconds() - others).toFixed(1);
      const whole = ((performance.now() - startedAt) / 1_000).toFixed(1);
      t.comment(`${file} took ${whole} s, of CPU here ${own} s, in children ${more} s`);
      await eventually('servers and processes to be gone', () => {
        const more = lasting().filter(([kind, count]) => count > (new Map(before).get(kind) ?? 0));
        if (more.length > 0) throw new Error(more.join('; '));
        return true;
      });
    });
  }
}

function lasting(): (readonly [kind: string, count: number])[] {
  const active = process.getActiveResourcesInfo();
  return LASTING.map(kind => [kind, active.filter(other => other === kind).length]);
}

/** Seconds of CPU of the processes that this one has started and that have ended: cutime and cstime of proc(5). */
function childrenSeconds(): number {
  if (process.platform !== 'linux') return 0;
  const text = readFileSync('/proc/self/stat', 'latin1');
  const [user, system] = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(13, 15);
  return (Number(user) + Number(system)) / TICKS_A_SECOND;
}
