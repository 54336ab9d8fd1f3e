import { existsSync } from 'node:fs';
import t from 'tap';
import type { Successor } from '../lib/upgrade.ts';
import { gone } from './slow/upgrading.ts';
import { START_MS } from './support/command.ts';
import type { Owner } from './support/owner.ts';
import { startScript } from './support/processes.ts';

/** Starts a program that starts itself anew; resolves with what came of that, and the successor's pid. */
async function upgrade(owner: Owner, behaviour: string, sockets = 1, words = 0) {
  const running = startScript(owner, 'spec/upgrade-process', [behaviour, String(sockets), String(words)]);
  const [, outcome = ''] = await running.printed(/^outcome (.*)$/m, START_MS);
  const pid = Number(/^successor (\d+)$/m.exec(running.stdout)?.[1] ?? 0);
  owner.teardown(() => {
    if (pid > 0 && existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
  });
  const successor = JSON.parse(outcome) as Successor;
  const why = successor.ok ? '' : successor.why;
  return { running, pid, successor, why };
}

t.test('a successor that is ready has the sockets, however many, and its predecessor may leave', async t => {
  for (const sockets of [1, 20]) {
    const { running, pid, successor } = await upgrade(t, 'ready', sockets);
    t.same(successor, { ok: true, pid });
    await running.printed(new RegExp(`^sockets ${sockets}$`, 'm'));
    t.equal((await running.exited).exitCode, 0, 'nothing keeps the predecessor');
    await gone(pid);
  }
});

t.test('a successor that hangs is ended', async t => {
  const startedAt = performance.now();
  const { running, pid, successor, why } = await upgrade(t, 'hang');
  t.equal(successor.ok, false);
  t.equal(why, 'the new process was not ready within 3 s and has been ended');
  await gone(pid);
  t.equal((await running.exited).exitCode, 0);
  t.comment(`given up and gone after ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
});

t.test('a successor that ends before it is ready is none', async t => {
  for (const behaviour of ['exit', 'crash']) {
    const { running, pid, why } = await upgrade(t, behaviour);
    t.match(why, /^the new process ended before it was ready/, behaviour);
    await gone(pid);
    t.equal((await running.exited).exitCode, 0);
  }
});

t.test('a successor that the system does not start leaves nothing behind', async t => {
  // More words than an environment holds (128 KiB on Linux): spawn throws.
  const { running, pid, why } = await upgrade(t, 'ready', 1, 5_000);
  t.match(why, /^the new process cannot be started: .*E2BIG/);
  t.equal(pid, 0);
  t.equal((await running.exited).exitCode, 0);
});
