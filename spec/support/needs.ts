/** Programs of the system that wider tests use. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

const { PATH = '', CI } = process.env;
// Servers live in sbin, which is not on everyone's PATH.
const PLACES = [...PATH.split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The program's full path, or undefined where it is not installed. */
export function pathOf(program: string): string | undefined {
  return PLACES.map(place => join(place, program)).find(path => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Whether the program is installed. */
export function has(program: string): boolean {
  return pathOf(program) !== undefined;
}

/**
 * Options for a tap test that uses these programs: `t.test('name', needs('postfix', 'swaks'), async t => ...)`
 * skips it with "needs postfix" where one is missing. In CI (`CI=true`) nothing may be skipped: it throws.
 */
export function needs(...programs: readonly string[]): { skip?: string } {
  return need(programs.filter(program => !has(program)));
}

/** As `needs`, also for a test that needs root (own network namespace, Postfix's change of user). */
export function needsRoot(...programs: readonly string[]): { skip?: string } {
  const missing = programs.filter(program => !has(program));
  return need(process.getuid?.() === 0 ? missing : ['root', ...missing]);
}

function need(missing: readonly string[]): { skip?: string } {
  if (missing.length === 0) return {};
  const skip = `needs ${missing.join(', ')}`;
  if (CI === 'true') throw new Error(`${skip}, and in CI no test may be skipped`);
  return { skip };
}
