import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { version } from '../../lib/core/package.ts';
import { called } from '../support/called.ts';
import { COMMAND } from '../support/command.ts';
import type { Owner } from '../support/owner.ts';
import { type Exit, run } from '../support/processes.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** Runs the real command to its end. */
function smtplb(owner: Owner, ...args: readonly string[]): Promise<Exit> {
  const [program, ...before] = COMMAND;
  return run(owner, program, [...before, ...args]);
}

/** Writes a configuration and returns its path. */
async function fileOf(owner: Owner, text: string): Promise<string> {
  const file = join(await temporaryDirectory(owner), 'smtplb.yaml');
  await writeFile(file, text);
  return file;
}

const GOOD = `
admin: { listen: "off" }
listeners:
  - { listen: "127.0.0.1:0", pool: mx }
pools:
  - name: mx
    identity: proxy-v2
    backends: [{ address: "127.0.0.1:9" }]
`;
// Three faults, on lines 3, 6 and 8.
const BAD = `
listeners:
  - { listen: "127.0.0.1:99999", pool: mx }
pools:
  - name: mx
    ballance: least-connections
    backends:
      - { address: "127.0.0.1:25", weight: 0 }
`;

t.test('--help and --version answer on standard output', async t => {
  for (const flag of ['--help', '-h', 'help']) {
    const { exitCode, stdout, stderr } = await called(flag);
    t.same([exitCode, stderr], [0, '']);
    for (const command of ['run', 'check', 'schema', 'sink', 'quickstart'])
      t.match(stdout, new RegExp(`^ +${command} `, 'm'));
  }
  for (const flag of ['--version', '-V']) {
    t.match(await called(flag), { exitCode: 0, stdout: `smtplb ${version}\n`, stderr: '' });
  }
});

t.test('every command has its own help', async t => {
  for (const command of ['run', 'check', 'schema', 'sink', 'quickstart']) {
    const { exitCode, stdout, stderr } = await called(command, '--help');
    t.same([exitCode, stderr], [0, ''], command);
    t.match(stdout, new RegExp(`^Usage: smtplb ${command}`));
  }
});

t.test('what is no command, or no flag of one, is named, with the usage, on standard error', async t => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /a command is needed/],
    [['rum'], /there is no command "rum"/],
    [['__proto__'], /there is no command "__proto__"/],
    [['run'], /either --config, or --listen and --backend, are needed/],
    [['run', '--config', 'x', '--listen', '127.0.0.1:0'], /either --config, or --listen and --backend/],
    [['run', '--verbose'], /--verbose/],
    [['run', 'smtplb.yaml'], /smtplb\.yaml/],
    [['check'], /one FILE is needed/],
    [['check', 'a', 'b'], /one FILE is needed/],
    [['schema', '--yaml'], /--yaml/],
    [['quickstart', 'now'], /now/],
  ];
  for (const [args, complaint] of wrong) {
    const { exitCode, stdout, stderr } = await called(...args);
    t.same([exitCode, stdout], [2, ''], args.join(' '));
    t.match(stderr, complaint);
    t.match(stderr, /Usage: smtplb/);
  }
});

t.test('check says ok, or every fault with file, line and column', async t => {
  t.match(await called('check', await fileOf(t, GOOD)), { exitCode: 0, stdout: 'ok\n', stderr: '' });
  const file = await fileOf(t, BAD);
  const { exitCode, stdout, stderr } = await called('check', file);
  t.same([exitCode, stdout], [2, '']);
  const faults = stderr.trimEnd().split('\n');
  t.equal(faults.length, 3, stderr);
  t.ok(faults[0]?.startsWith(`${file}:3:15: listeners[0].listen: `), stderr);
  t.ok(faults[1]?.startsWith(`${file}:6:5: pools[0].ballance: `), stderr);
  t.ok(faults[2]?.startsWith(`${file}:8:44: pools[0].backends[0].weight: `), stderr);
});

t.test('an open relay in the making is warned of', async t => {
  const file = await fileOf(
    t,
    GOOD.replace('127.0.0.1:0', '0.0.0.0:25').replace('identity: proxy-v2', 'identity: none'),
  );
  const { exitCode, stdout, stderr } = await called('check', file);
  t.same([exitCode, stdout], [0, 'ok\n']);
  t.match(stderr, /^warning: pools\[0\]\.identity: .*open relay/);
});

t.test('run refuses a bad file in the same words, and one that is not there or no YAML', async t => {
  const file = await fileOf(t, BAD);
  const checked = await called('check', file);
  t.match(await called('run', '--config', file), { exitCode: 2, stdout: '', stderr: checked.stderr });
  const missing = await called('run', '--config', join(await temporaryDirectory(t), 'none.yaml'));
  t.match(missing, {
    exitCode: 2,
    stdout: '',
    stderr: /none\.yaml.*(?:ENOENT|no such file|cannot be read)/i,
  });
  const torn = await fileOf(t, 'listeners: [\n');
  t.match(await called('run', '--config', torn), { exitCode: 2, stdout: '', stderr: `${torn}:` });
});

t.test('flags are checked as a file is', async t => {
  const { exitCode, stderr } = await called('run', '--listen', 'nowhere', '--backend', '127.0.0.1');
  t.equal(exitCode, 2);
  t.match(stderr, /--listen: /);
  t.match(stderr, /--backend: /);
  t.match(await called('run', '--listen', '127.0.0.1:0'), { exitCode: 2, stderr: /--backend: / });
});

t.test('schema prints a JSON Schema', async t => {
  const { exitCode, stdout, stderr } = await called('schema');
  t.same([exitCode, stderr], [0, '']);
  const schema = JSON.parse(stdout);
  t.match(schema, { $schema: /json-schema\.org/, type: 'object', properties: { listeners: {}, pools: {} } });
});

t.test('the same from a shell: output and exit status are whole', async t => {
  t.match(await smtplb(t, '--version'), { exitCode: 0, stdout: `smtplb ${version}\n`, stderr: '' });
  const file = await fileOf(t, BAD);
  t.strictSame(await smtplb(t, 'check', file), { ...(await called('check', file)), signal: null });
  t.equal(
    (await smtplb(t, 'schema')).stdout,
    (await called('schema')).stdout,
    'not cut at the size of a pipe',
  );
});
