/** A directory for the files of one test. */
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lastResort } from './last-resort.ts';
import type { Owner } from './owner.ts';

/**
 * Creates an empty directory that only its owner may enter, and removes it with all in it when the test ends.
 * Teardowns run last in, first out: what is started after this call has ended by then.
 */
export async function temporaryDirectory(owner: Owner): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'smtplb-spec-'));
  const callOff = lastResort(() => rmSync(path, { recursive: true, force: true, maxRetries: 3 }));
  owner.teardown(async () => {
    callOff();
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  });
  return path;
}
