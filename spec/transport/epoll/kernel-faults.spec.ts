/** What the kernel says only when it is short of something, said by a C library that can be told to. */
import t from 'tap';
import { ipAddress } from '../../../lib/core/address.ts';
import { TICK_MS } from '../../../lib/core/timer-wheel.ts';
import { openFaultyWorld } from '../faulty-world.ts';

t.test('accepting', async t => {
  const { fails, calls, faults, dial, accept } = await openFaultyWorld(t, 'epoll');
  for (const error of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'] as const) {
    fails.set('accept4', [error, error]);
    const before = calls.get('accept4') ?? 0;
    const { told } = dial();
    await told.came('connect');
    (await accept()).connection.destroy();
    const asked = (calls.get('accept4') ?? 0) - before;
    t.ok(
      asked <= 6,
      `${error}: the kernel was asked ${asked} times, and the client is served when there is room`,
    );
  }
  for (const error of ['ECONNABORTED', 'EINTR', 'EPERM', 'EPROTO'] as const) {
    fails.set('accept4', [error]);
    dial();
    (await accept()).connection.destroy();
    t.pass(`${error}: one client's fault, and not the next one's`);
  }
  t.strictSame(faults, []);
});

t.test('dialling: what the kernel refuses is told by name, after the call', async t => {
  const { fails, dial } = await openFaultyWorld(t, 'epoll');
  const source = ipAddress('127.0.0.9', 0);
  const cases = [
    ['socket', 'EMFILE', 'no-descriptors', undefined],
    ['socket', 'ENFILE', 'no-descriptors', undefined],
    ['connect', 'EADDRNOTAVAIL', 'no-ports', undefined],
    ['connect', 'EHOSTUNREACH', 'unreachable', undefined],
    ['connect', 'EPERM', 'failed', undefined],
    ['bind', 'EADDRINUSE', 'no-ports', { source }],
    ['epoll_ctl', 'ENOSPC', 'failed', undefined],
  ] as const;
  for (const [call, error, reason, options] of cases) {
    fails.set(call, [error]);
    const { told } = dial(undefined, options);
    t.strictSame(told.events, [], `${call} ${error}: not within the call`);
    t.equal(await told.closed(), reason, `${call} ${error}`);
    t.equal(told.events.length, 1);
  }
  // TCP_NODELAY comes first, then what makes its address transparent.
  fails.set('setsockopt', ['ENOPROTOOPT', 'EPERM']);
  const { told } = dial(undefined, { source, transparent: true });
  t.equal(await told.closed(), 'not-permitted', 'a transparent source without the capability');
});

t.test('a connection that is open', async t => {
  const { fails, faults, dial, accept } = await openFaultyWorld(t, 'epoll');
  const { connection, told } = dial();
  const other = await accept();
  await told.came('connect');

  fails.set('recv', ['EINTR', 'ENOBUFS']);
  connection.write(Buffer.from('one'));
  t.equal(String(await other.told.received(3)), 'one', 'what cannot be read now is read in a moment');

  fails.set('send', ['ENOBUFS', 'ENOMEM']);
  t.equal(connection.write(Buffer.from('two')), false, 'what cannot be sent now waits');
  connection.write(Buffer.from('three'));
  t.equal(String(await other.told.received(11)), 'onetwothree', 'and is sent in a moment, in order');
  await told.came('drain');

  fails.set('epoll_wait', ['EINTR', 'EINTR']);
  connection.write(Buffer.from('!'));
  await other.told.received(12);

  other.connection.write(Buffer.from('last words'));
  await told.received(10);
  fails.set('send', ['EPIPE']);
  connection.write(Buffer.from('x'));
  t.equal(await told.closed(), 'reset', 'EPIPE');
  await other.told.came('end');

  const again = dial();
  const last = await accept();
  fails.set('recv', ['ETIMEDOUT']);
  again.connection.write(Buffer.from('x'));
  t.equal(await last.told.closed(), 'reset', 'a peer that the kernel has given up');
  t.strictSame(faults, []);
});

t.test('with nothing to do it waits, and does not ask again and again', async t => {
  const { calls } = await openFaultyWorld(t, 'epoll');
  const waits = () => calls.get('epoll_wait') ?? 0;
  const before = waits();
  const from = performance.now();
  await new Promise(resolve => setTimeout(resolve, 4 * TICK_MS));
  const idleMs = Math.round(performance.now() - from);
  t.ok(waits() - before <= idleMs * 1.5, `${waits() - before} waits of a millisecond in ${idleMs} ms`);
});
