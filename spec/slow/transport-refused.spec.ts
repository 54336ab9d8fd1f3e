/** A machine without the fast transports: what is asked for by name is refused with the reason, `auto` takes the next. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { COMMAND, startCommand } from '../support/command.ts';
import { mx } from '../support/instance.ts';
import { needs, needsRoot } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { run } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** Runs its arguments on a kernel that answers every call of io_uring's with an error. */
const without = (error: string, from = 1): string[] => [
  ...['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=io_uring_setup'],
  ...['-e', `inject=io_uring_setup:error=${error}:when=${from}+`],
];

/** Runs its arguments with so many octets of locked memory, of which each shard with io_uring takes some 530,000. */
const withLocked = (octets: number): string[] => [
  ...['setpriv', '--bounding-set=-ipc_lock', 'prlimit', `--memlock=${octets}`],
];

/** A Node that finds no koffi. */
async function withoutKoffi(owner: Owner): Promise<readonly [string, ...string[]]> {
  const folder = await temporaryDirectory(owner);
  const [node, ...args] = COMMAND;
  const entry = args.pop() as string;
  const hooks = join(folder, 'hooks.mjs');
  const register = join(folder, 'register.mjs');
  await writeFile(
    hooks,
    `export async function resolve(name, context, next) {
      if (name === 'koffi') throw new Error("Cannot find package 'koffi'");
      return next(name, context);
    }`,
  );
  await writeFile(
    register,
    `import { register } from 'node:module'; register(${JSON.stringify(`file://${hooks}`)});`,
  );
  return [node, ...args, '--import', register, entry];
}

/** Starts with this transport, and resolves with how it ended. */
async function refused(owner: Owner, transport: string, program: readonly string[], shards = 1) {
  const file = join(await temporaryDirectory(owner), 'smtplb.yaml');
  await writeFile(
    file,
    JSON.stringify({
      ...mx(['127.0.0.1:9']),
      listeners: [{ name: 'mx', pool: 'mx', listen: '127.0.0.1:0' }],
      transport,
      shards,
      admin: { listen: '127.0.0.1:0' },
    }),
  );
  const [command, ...args] = program as [string, ...string[]];
  return run(owner, command, [...args, 'run', '--config', file], { deadlineMs: 60_000 });
}

t.test('asked for by name', needs('strace'), async t => {
  for (const error of ['EPERM', 'ENOSYS', 'ENOMEM']) {
    const { exitCode, stdout, stderr } = await refused(t, 'io_uring', [...without(error), ...COMMAND]);
    t.not(exitCode, 0);
    t.match(
      stdout + stderr,
      new RegExp(`transport: io_uring: the io_uring transport cannot be used here: .*${error}`),
    );
    t.comment(`${error}: status ${exitCode}, ${(stderr || stdout).trim().split('\n').at(-1)}`);
  }
  const command = await withoutKoffi(t);
  for (const name of ['epoll', 'io_uring']) {
    const { exitCode, stdout, stderr } = await refused(t, name, command);
    t.not(exitCode, 0);
    t.match(stdout + stderr, new RegExp(`transport: ${name}: the ${name} transport needs the package koffi`));
    t.comment(`no koffi: status ${exitCode}, ${(stderr || stdout).trim().split('\n').at(-1)}`);
  }
});

t.test('a kernel that gives one ring, and not one for each shard', needs('strace'), async t => {
  const { exitCode, stdout, stderr } = await refused(t, 'io_uring', [...without('ENOMEM', 2), ...COMMAND], 2);
  t.not(exitCode, 0);
  t.match(stdout + stderr, /transport: io_uring: .*ENOMEM/);
});

t.test('auto takes the next one, and says so once', needs('strace'), async t => {
  const backend = await startScriptedBackend(t, smtp());
  const settings = { ...mx([formatAddress(backend.address)]), transport: 'auto', shards: 2 };
  const cases = [
    { takes: 'epoll', options: { under: without('EPERM') }, notes: 1 },
    { takes: 'epoll', options: { under: without('ENOSYS') }, notes: 1 },
    { takes: 'net', options: { command: await withoutKoffi(t) }, notes: 2 },
  ];
  for (const { takes, options, notes } of cases) {
    const instance = await startCommand(t, { ...settings, shards: takes === 'net' ? 1 : 2 }, options);
    const metrics = await instance.metrics();
    t.equal(metrics.sum('smtplb_shard_up', { transport: takes }), takes === 'net' ? 1 : 2, takes);
    const said = instance.process.stdout.match(/transport auto goes without [^"]*/g) ?? [];
    t.equal(said.length, notes);
    for (const note of said) t.comment(note);
    const client = await connectClient(t, instance.address);
    await client.expect(220);
    await client.command('QUIT', 221);
    client.destroy();
    await instance.process.stop();
  }
});

t.test(
  'locked memory: enough for all shards, or the next transport',
  needsRoot('setpriv', 'prlimit'),
  async t => {
    const settings = { ...mx(['127.0.0.1:9']), transport: 'auto', shards: 2 };
    for (const [octets, takes] of [
      [1_200_000, 'io_uring'],
      [900_000, 'epoll'],
      [0, 'epoll'],
    ] as const) {
      const instance = await startCommand(t, settings, { under: withLocked(octets) });
      t.equal(
        (await instance.metrics()).sum('smtplb_shard_up', { transport: takes }),
        2,
        `${octets}: ${takes}`,
      );
      const said = instance.process.stdout.match(/transport auto goes without [^"]*/g) ?? [];
      t.equal(said.length, takes === 'epoll' ? 1 : 0);
      for (const note of said) t.match(note, /ENOMEM.*raise the limit \(LimitMEMLOCK=/);
      await instance.process.stop();
    }
    const { exitCode, stdout, stderr } = await refused(t, 'io_uring', [...withLocked(0), ...COMMAND]);
    t.not(exitCode, 0);
    t.match(stdout + stderr, /transport: io_uring: .*ENOMEM.*raise the limit/);
    t.comment((stderr || stdout).trim().split('\n').at(-1) ?? '');
  },
);
