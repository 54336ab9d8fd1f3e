/** The unit files of examples/systemd/, as far as they can be tried without being started by systemd. */

import { readFileSync } from 'node:fs';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { packageRoot } from '../../lib/core/package.ts';
import { COMMAND, START_MS, startCommand } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { freeAddress } from '../support/free-port.ts';
import { mx } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { run, start } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const UNITS = new URL('examples/systemd/', packageRoot);
/** Below this systemd calls a service OK; with JIT, TCP and port 25 it does not get much lower. */
const EXPOSURE = 2;
/** Refused by the filter, and the runtime does without where it is refused. */
const DISPENSABLE = new Set(['pkey_alloc', 'pkey_free', 'pkey_mprotect']);

/** Both units in a folder, with a program in place of /usr/bin/smtplb that is there. */
async function units(owner: Owner): Promise<{ folder: string; service: string; socket: string }> {
  const folder = await temporaryDirectory(owner);
  const [service, socket] = [join(folder, 'smtplb.service'), join(folder, 'smtplb.socket')];
  const text = await readFile(new URL('smtplb.service', UNITS), 'utf8');
  await writeFile(service, text.replaceAll('/usr/bin/smtplb', process.execPath));
  await copyFile(new URL('smtplb.socket', UNITS), socket);
  return { folder, service, socket };
}

t.test('the units are clean, and give little away', needs('systemd-analyze'), async t => {
  const { service, socket } = await units(t);
  const verified = await run(t, 'systemd-analyze', ['verify', service, socket]);
  t.match(verified, { exitCode: 0, stdout: '', stderr: '' });
  const broken = join(service, '..', 'smtplb-broken.service');
  await writeFile(broken, (await readFile(service, 'utf8')).replace('WatchdogSec', 'WatchdogSecs'));
  t.match((await run(t, 'systemd-analyze', ['verify', broken])).stderr, /WatchdogSecs/, 'a fault is seen');

  const { stdout } = await run(t, 'systemd-analyze', ['security', '--offline=yes', '--no-pager', service]);
  const score = Number(/exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]);
  t.comment(`exposure level ${score}`);
  t.ok(score <= EXPOSURE, `exposure level ${score} is at most ${EXPOSURE}`);
});

/** The system calls of a set as systemd has it, sets within sets included. */
function allowed(listing: string, set: string): Set<string> {
  const sets = new Map<string, string[]>();
  let current: string[] = [];
  for (const line of listing.split('\n').map(text => text.trimEnd())) {
    if (line.startsWith('@')) {
      current = [];
      sets.set(line, current);
    } else if (line !== '' && !line.includes('#')) current.push(line.trim());
  }
  const flat = (name: string): string[] =>
    (sets.get(name) ?? []).flatMap(member => (member.startsWith('@') ? flat(member) : [member]));
  return new Set(flat(set));
}

t.test(
  'sessions need no system call that the service is denied',
  needs('systemd-analyze', 'strace'),
  async t => {
    const filters = [
      ...readFileSync(new URL('smtplb.service', UNITS), 'utf8').matchAll(/^SystemCallFilter=(~?)(\S+)$/gm),
    ];
    t.same(
      filters.map(([, not, set]) => `${not}${set}`),
      ['@system-service', '~@privileged'],
    );
    const { stdout } = await run(t, 'systemd-analyze', ['syscall-filter', '--no-pager']);
    const service = allowed(stdout, '@system-service');
    const privileged = allowed(stdout, '@privileged');
    t.ok(service.has('accept4') && privileged.has('chown'), 'the sets are understood');

    const counts = join(await temporaryDirectory(t), 'calls');
    const backend = await startScriptedBackend(t, smtp());
    const admin = { listen: formatAddress(await freeAddress()), socket: `${counts}.sock` };
    const command = await startCommand(
      t,
      { ...mx([formatAddress(backend.address)]), admin },
      { under: ['strace', '-D', '-f', '-c', '-U', 'name', '-o', counts] },
    );
    const client = await connectClient(t, command.address);
    await client.expect(220);
    await client.command('EHLO traced.example', 250);
    await client.deliver();
    await client.command('QUIT', 221);
    client.end();
    await fetch(`http://${admin.listen}/metrics`).then(response => response.text());
    command.process.kill('SIGTERM');
    const called = await eventually('the tracer to finish', async () => {
      const lines = (await readFile(counts, 'utf8')).split('\n').slice(2); // below its heading
      return lines.at(-2) === 'total' && lines.slice(0, -3);
    });
    t.ok(called.includes('accept4') && called.includes('chmod'), called.join(' '));
    t.same(
      called.filter(name => (!service.has(name) || privileged.has(name)) && !DISPENSABLE.has(name)),
      [],
    );
  },
);

t.test(
  'a socket that systemd holds serves the listener it is named for',
  needs('systemd-socket-activate'),
  async t => {
    const backend = await startScriptedBackend(t, smtp());
    const [listen, admin] = [await freeAddress(), await freeAddress()];
    const file = join(await temporaryDirectory(t), 'smtplb.yaml');
    const { pools } = mx([formatAddress(backend.address)]);
    // The address differs from the socket's, so that only its name can tell whose it is.
    const settings = {
      admin: { listen: formatAddress(admin) },
      listeners: [{ name: 'mx', listen: '127.0.0.1:9', pool: 'mx' }],
      pools,
    };
    await writeFile(file, JSON.stringify(settings));
    const [program, ...args] = COMMAND;
    const activated = start(t, 'systemd-socket-activate', [
      ...['-l', formatAddress(listen), '--fdname=mx'],
      ...[program, ...args, 'run', '--config', file],
    ]);
    await activated.printed(/Listening on/);
    const client = await connectClient(t, listen);
    await client.expect(220, START_MS);
    await client.command('QUIT', 221);
    // A shard may serve before the instance has said that it is ready.
    await activated.printed(/"msg":"ready"/, START_MS);
    t.notMatch(activated.stdout, /no listener wants/);
    client.end();
    const { exitCode } = await activated.stop();
    t.equal(exitCode, 0);
  },
);
