/** The rules for transparent addresses, made and taken away in a network namespace of the test's own. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { called } from '../support/called.ts';
import { COMMAND } from '../support/command.ts';
import { lastResort } from '../support/last-resort.ts';
import { needs, needsRoot } from '../support/needs.ts';
import { run } from '../support/processes.ts';

const [program, ...before] = COMMAND;

t.test(
  'what is printed is what is run, twice without harm, and taken away',
  needsRoot('ip', 'nft'),
  async t => {
    const space = `smtplb-${process.pid}-rules`;
    const ip = (...args: readonly string[]) => spawnSync('ip', args, { encoding: 'utf8' });
    const inside = (...args: readonly string[]) => ip('netns', 'exec', space, ...args).stdout;
    const callOff = lastResort(() => ip('netns', 'del', space));
    t.teardown(() => {
      callOff();
      ip('netns', 'del', space);
    });
    t.equal(ip('netns', 'add', space).status, 0);
    t.equal(ip('-n', space, 'link', 'set', 'lo', 'up').status, 0);
    const rules = () => [inside('nft', 'list', 'ruleset'), inside('ip', 'rule'), inside('ip', '-6', 'rule')];
    const fresh = rules();
    const setup = (...flags: readonly string[]) =>
      run(t, 'ip', ['netns', 'exec', space, program, ...before, 'transparent-setup', ...flags]);

    for (const time of ['once', 'twice']) {
      t.match(await setup('--apply'), { exitCode: 0, stdout: '', stderr: '' }, time);
      const [nft = '', ipv4 = '', ipv6 = ''] = rules();
      t.equal(nft.match(/socket transparent 1/g)?.length, 1, 'one rule marks');
      for (const text of [ipv4, ipv6])
        t.equal(text.match(/fwmark 0x534d lookup 2525/g)?.length, 1, 'one rule routes');
      t.match(inside('ip', 'route', 'show', 'table', '2525'), /^local default dev lo/);
      t.match(inside('ip', '-6', 'route', 'show', 'table', '2525'), /^local default dev lo/);
    }

    const { stdout } = await setup('--remove');
    t.equal(
      ip('netns', 'exec', space, 'sh', '-c', stdout).status,
      0,
      'the printed script, as an operator would run it',
    );
    t.strictSame(rules(), fresh);
    t.match(await setup('--remove', '--apply'), { exitCode: 0, stderr: '' }, 'nothing to take away is fine');
  },
);

t.test('what it does not take', needs('ip'), async t => {
  for (const [flags, why] of [
    [['--mark', '0'], /--mark is no whole number/],
    [['--table', 'main'], /--table is no whole number/],
    [['--table', '254'], /--table is one of the system/],
    [['--install'], /Unknown option/],
  ] as const) {
    const { exitCode, stderr } = await called('transparent-setup', ...flags);
    t.equal(exitCode, 2);
    t.match(stderr, why);
  }
});
