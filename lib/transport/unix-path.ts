import { randomBytes } from 'node:crypto';
import { renameSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';

/**
 * Binds a Unix socket at `path` through `bind`, which is given the name to bind. A socket that nobody answers on, left
 * behind by a process that was killed, is replaced; one that is in use, or any other file, is not: rejects with EADDRINUSE
 * or EEXIST, or with what `bind` says.
 *
 * Bound under another name and moved into place: libuv removes the name it has bound when it closes the socket, and by
 * then the path may belong to a successor.
 */
export async function claimPath<T>(path: string, bind: (name: string) => T | Promise<T>): Promise<T> {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() === false) {
    throw Object.assign(new Error(`${path} is there already, and is no socket`), { code: 'EEXIST' });
  }
  if (await answers(path)) {
    throw Object.assign(new Error(`another process listens on ${path}`), { code: 'EADDRINUSE' });
  }
  const name = join(dirname(path), `.smtplb-${randomBytes(6).toString('hex')}`);
  const bound = await bind(name);
  renameSync(name, path);
  return bound;
}

/** Removes the name of a socket that is listened on no more. */
export function releasePath(path: string): void {
  rmSync(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const probe = connect({ path });
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // A full backlog (EAGAIN) or missing permission is an answer, too: somebody listens.
    probe.on('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'),
    );
  });
}
