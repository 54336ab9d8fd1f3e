import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import {
  machineStat,
  parseMachineStat,
  parseProcessStat,
  parseResidentKib,
  processCpuUs,
  residentKib,
} from '../../bench/measure.ts';

t.test('a process counts its user and system time and that of the children it waited for', async t => {
  const line = '42 (node) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 4000 20 0 11 0 900 1 2\n';
  t.strictSame(parseProcessStat(line), { pid: 42, parent: 7, cpuUs: 41_230_000 });
});

t.test('a program may be called anything', async t => {
  const line = '42 (a) S 9 (b) R 7 42 42 0 -1 4194304 1 2 3 4 1 0 0 0 20 0 11 0 900\n';
  t.strictSame(parseProcessStat(line), { pid: 42, parent: 7, cpuUs: 10_000 });
});

t.test('what is no stat line is no process', async t => {
  for (const text of ['', '42', '42 (node', '42 (node) S 7', 'x (y) S 7 0 0 0 0 0 0 0 0 0 1 1 1 1'])
    t.equal(parseProcessStat(text), undefined, JSON.stringify(text));
});

t.test('the machine is busy when it is neither idle nor waiting nor stolen', async t => {
  const text = (idle: number) =>
    `cpu  10 0 20 ${idle} 5 0 3 7 0 0\ncpu0 5 0 10 1 1 0 1 3 0 0\ncpu1 5 0 10 1 1 0 1 4 0 0\nintr 1\n`;
  const before = parseMachineStat(text(1_000), 50_000_000);
  const after = parseMachineStat(text(1_150), 51_000_000);
  t.equal((after?.totalUs ?? 0) - (before?.totalUs ?? 0), 2_000_000, 'two cores for a second');
  t.equal((after?.busyUs ?? 0) - (before?.busyUs ?? 0), 500_000, 'a core and a half were idle');
  t.equal(after?.stolenUs, 70_000);
  t.equal(parseMachineStat('intr 1\n', 0), undefined);
});

t.test('resident memory', async t => {
  t.equal(
    parseResidentKib('00400000-7fff ---p 0 00:00 0 [rollup]\nRss:      1712 kB\nPss:  366 kB\n'),
    1_712,
  );
  t.equal(parseResidentKib('Pss: 366 kB\n'), undefined);
});

const linux = process.platform === 'linux' ? {} : { skip: 'needs Linux' };

t.test('a process is measured with its children', linux, async t => {
  // The shell stays: it has something to do after its child. The child burns time of a processor, says so and waits.
  const burn = 'while (process.cpuUsage().user < 300_000); console.log("done"); process.stdin.resume()';
  const shell = spawn('/bin/sh', ['-c', '"$0" -e "$1"; exit 3', process.execPath, burn]);
  const exited = once(shell, 'exit');
  await once(shell.stdout, 'data');
  const pid = shell.pid ?? 0;
  t.ok(processCpuUs(pid) >= 100_000, 'the time of the child is there');
  t.ok(residentKib(pid) > 10_000, 'and its memory: no shell is that large');
  shell.stdin.end();
  t.strictSame(await exited, [3, null], 'nothing is left');
});

t.test('this machine can be measured', linux, async t => {
  const [before, cpuBefore] = [machineStat(), processCpuUs(process.pid)];
  const end = performance.now() + 100;
  while (performance.now() < end);
  const [after, cpuAfter] = [machineStat(), processCpuUs(process.pid)];
  t.ok(after.totalUs > before.totalUs);
  t.ok(after.busyUs > before.busyUs);
  t.ok(cpuAfter >= cpuBefore);
  t.throws(() => processCpuUs(2 ** 30), /no process/);
});
