/** What `npm pack` makes, as an operator installs it: without the sources, without tsx, anywhere on the disk. */
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { packageRoot, version } from '../../lib/core/package.ts';
import { startCommand } from '../support/command.ts';
import { freeAddress } from '../support/free-port.ts';
import { mx } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { type Exit, run } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** The test runner has its loaders follow every child, tsx among them: here they would hide what is missing. */
const PLAIN = ['env', '-u', 'NODE_OPTIONS'] as const;
const CHECKOUT = fileURLToPath(packageRoot);

interface Installed {
  /** A project that has the package among its dependencies. */
  readonly project: string;
  /** The package in it. */
  readonly home: string;
  readonly files: readonly string[];
}

function plain(owner: Owner, cwd: string, ...command: readonly string[]): Promise<Exit> {
  const [program, ...args] = [...PLAIN, ...command];
  return run(owner, program, args, { cwd, deadlineMs: 250_000 });
}

/** Packs the checkout and unpacks the tarball into a project of its own, with the checkout's dependencies. */
async function installed(owner: Owner): Promise<Installed> {
  const project = await temporaryDirectory(owner);
  const packed = await plain(owner, CHECKOUT, 'npm', 'pack', '--pack-destination', project);
  if (packed.exitCode !== 0) throw new Error(packed.stderr);
  const home = join(project, 'node_modules', 'smtplb');
  await mkdir(home, { recursive: true });
  const tarball = (await readdir(project)).find(name => name.endsWith('.tgz')) ?? '';
  const unpacked = await run(owner, 'tar', [
    'xzf',
    join(project, tarball),
    '-C',
    home,
    '--strip-components=1',
  ]);
  if (unpacked.exitCode !== 0) throw new Error(unpacked.stderr);
  const files = (await readdir(home, { recursive: true })).sort();
  await symlink(join(CHECKOUT, 'node_modules'), join(home, 'node_modules'));
  return { project, home, files };
}

const { project, home, files } = await installed(t);

t.test('the package runs where it is installed', { timeout: 300_000 }, async t => {
  t.comment(`${files.length} files`);
  for (const file of [
    'LICENSE',
    'README.md',
    'CHANGELOG.md',
    'examples/quick-start.yaml',
    'dist/bin/smtplb.js',
  ])
    t.ok(files.includes(file), file);
  const beside = await readdir(join(CHECKOUT, 'lib'), { recursive: true, withFileTypes: true });
  const read = beside
    .filter(entry => entry.isFile() && !entry.name.endsWith('.ts'))
    .map(entry => join('dist', relative(CHECKOUT, entry.parentPath), entry.name));
  t.ok(read.length > 20, `${read.length} files are read beside the modules`);
  t.same(
    read.filter(file => !files.includes(file)),
    [],
    'all of them are there',
  );
  t.same(
    files.filter(file => /^(?:lib|bin|spec|bench|\.)/.test(file) || /(?<!\.d)\.ts$/.test(file)),
    [],
    'no source, no test',
  );

  const { bin, engines } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'));
  const program = join(home, bin.smtplb);
  t.match(await readFile(program, 'utf8'), /^#!\/usr\/bin\/env node\n/);
  t.equal(engines.node, '>=20.19');

  const says = (...args: string[]) => plain(t, project, process.execPath, program, ...args);
  t.match(await says('--version'), { exitCode: 0, stdout: `smtplb ${version}\n`, stderr: '' });
  t.match(await says('check', join(home, 'examples', 'quick-start.yaml')), { exitCode: 0, stdout: 'ok\n' });

  const script =
    "import('smtplb').then(({ version, startServer }) => console.log(version, typeof startServer))";
  const imported = await run(t, process.execPath, ['--input-type=module', '--eval', script], {
    cwd: project,
  });
  t.equal(imported.stdout, `${version} function\n`, imported.stderr);

  const backend = await startScriptedBackend(t, smtp());
  const redis = `redis://${formatAddress(await freeAddress())}`;
  const settings = { ...mx([formatAddress(backend.address)]), cluster: { redis } };
  const command = await startCommand(t, settings, { command: [...PLAIN, process.execPath, program] });
  const page = await fetch(`http://${formatAddress(command.admin)}/`);
  const parts = [...(await page.text()).matchAll(/(?:href|src)="\/([a-z]+\.(?:css|js|svg))"/g)].map(
    ([, part = '']) => part,
  );
  t.ok(parts.length > 5, `the page, and ${parts.length} files that it names`);
  for (const part of parts) {
    const { status } = await fetch(`http://${formatAddress(command.admin)}/${part}`);
    t.equal(status, 200, part);
  }
  await command.process.printed(/redis is not reachable/);
  const client = await connectClient(t, command.address);
  await client.expect(220);
  await client.command('EHLO packed.example', 250);
  await client.deliver();
  await client.command('QUIT', 221);
  client.end();
  await command.idle();
  const { exitCode, stderr } = await command.process.stop();
  t.same([exitCode, stderr], [0, '']);
  t.match(command.sessions(), [{ cause: 'normal', helloName: 'packed.example' }]);
});

/** At USR2 it ends every thread that the program has started. */
const THREAD_ENDER = `
import threads from 'node:worker_threads';
import { syncBuiltinESMExports } from 'node:module';
const started = [];
threads.Worker = class extends threads.Worker {
  constructor(...args) {
    super(...args);
    started.push(this);
  }
};
syncBuiltinESMExports();
process.on('SIGUSR2', () => started.forEach(thread => thread.terminate()));
`;

t.test('a shard that is lost after another version was installed is replaced by one of its own', async t => {
  const ender = join(project, 'ender.mjs');
  await writeFile(ender, THREAD_ENDER);
  const backend = await startScriptedBackend(t, smtp());
  const program = join(home, 'dist', 'bin', 'smtplb.js');
  const command = await startCommand(
    t,
    { ...mx([formatAddress(backend.address)]), transport: 'auto', shards: 1 },
    { command: [...PLAIN, process.execPath, '--import', ender, program] },
  );
  const modules = files.filter(file => /^dist\/.*\.c?js$/.test(file));
  t.ok(modules.includes('dist/bin/shard.cjs'));
  for (const file of modules) await writeFile(join(home, file), 'another version, which says so');

  command.process.kill('SIGUSR2');
  await command.process.printed(/the shard has been replaced/);
  const client = await connectClient(t, command.address);
  await client.expect(220);
  await client.command('QUIT', 221);
  client.end();
  await command.idle();
  // The last of the tests here: what is installed is of no use any more.
  t.notMatch(command.process.stdout, /cannot be replaced/);
});
