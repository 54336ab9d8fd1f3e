import t from 'tap';
import { createChildren } from '../../bench/children.ts';

const node = process.execPath;
const FOREVER = ['-e', 'setInterval(() => {}, 1000)'];

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

t.test('what is started runs until it is stopped', async t => {
  const children = createChildren();
  const child = children.start(node, FOREVER);
  t.ok(isAlive(child.pid));
  t.equal(await children.guard(Promise.resolve('done')), 'done');
  await child.stop();
  t.notOk(isAlive(child.pid));
  await child.stop();
});

t.test('a program that ends by itself fails the work, with what it said', async t => {
  const children = createChildren();
  children.start(node, ['-e', 'console.error("no such thing"); process.exitCode = 3']);
  await t.rejects(children.guard(new Promise(() => {})), /ended by itself: exit status 3\nno such thing/);
});

t.test('work that fails because a program died is reported as that death', async t => {
  const children = createChildren();
  children.start('/bin/sh', ['-c', 'exit 3']);
  const work = Promise.reject(new Error('connection reset'));
  await t.rejects(children.guard(work), /ended by itself: exit status 3/);
});

t.test('work that fails by itself is reported as it is', async t => {
  const children = createChildren();
  const child = children.start(node, FOREVER);
  await t.rejects(children.guard(Promise.reject(new Error('connection reset'))), {
    message: 'connection reset',
  });
  await child.stop();
});

t.test('a program run to its end', async t => {
  const children = createChildren();
  await children.run(node, ['-e', '']);
  await t.rejects(
    children.run(node, ['-e', 'console.error("why"); process.exitCode = 4']),
    /exit status 4\nwhy/,
  );
  await t.rejects(children.run('/nonexistent/program', []), /ENOENT/);
});

t.test('all are stopped, and stopping is no failure', async t => {
  const children = createChildren();
  const pids = [children.start(node, FOREVER).pid, children.start(node, FOREVER).pid];
  await children.stopAll();
  t.strictSame(pids.map(isAlive), [false, false]);
  t.equal(await children.guard(Promise.resolve('fine')), 'fine');
});

t.test('a program may refuse to start: that is no failure of the work', async t => {
  const children = createChildren();
  const given: AbortSignal[] = [];
  const never = (signal: AbortSignal) => {
    given.push(signal);
    return new Promise<void>(() => {});
  };
  await t.rejects(
    children.tryStart(node, ['-e', 'console.error("not yet"); process.exitCode = 2'], never),
    /exit status 2\nnot yet/,
  );
  t.ok(given[0]?.aborted, 'whoever waits for it is told');
  t.equal(await children.guard(Promise.resolve('fine')), 'fine');
});

t.test('once it is up, its death is one', async t => {
  const children = createChildren();
  await children.tryStart(node, ['-e', 'setTimeout(() => process.exit(5), 100)'], async () => {});
  await t.rejects(children.guard(new Promise(() => {})), /ended by itself: exit status 5/);
});

t.test('what is logged is read, and nothing stays when the program is gone', async t => {
  const children = createChildren();
  // More than any pipe holds: without a reader it would never get to its end.
  const script = 'process.stdout.write("x".repeat(4_000_000), () => process.exit(7))';
  await children.tryStart(node, ['-e', script], async () => {}, { stdout: 'read' });
  await t.rejects(children.guard(new Promise(() => {})), /exit status 7/);
  await children.stopAll();
});

t.test('a program that says when it is ready', async t => {
  const children = createChildren();
  const { child, line } = await children.announce(node, [
    '-e',
    'console.log("here"); setInterval(() => {}, 1000)',
  ]);
  t.equal(line, 'here');
  t.ok(isAlive(child.pid));
  await child.stop();
  t.equal(await children.run(node, ['-e', 'console.log("out")']), 'out\n');
});
