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
