/** What only the io_uring transport has: refusals of the kernel, buffers that all share, accepts that run dry. */

import t from 'tap';
import type { Machine } from '../../lib/transport/linux/foreign.ts';
import { loadUring } from '../../lib/transport/uring/load.ts';
import { LOADER, moduleUrl } from '../support/checkout.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import { run } from '../support/processes.ts';
import { openWorld, recorder, type Side } from './peers.ts';

t.test('where it can be had it works, and where not a sentence says why', async t => {
  const here: Machine = { platform: 'linux', arch: process.arch, importKoffi: () => import('koffi') };
  t.equal((await loadUring(here)).reason, undefined);
  t.match(await loadUring({ ...here, platform: 'darwin' }), { reason: /needs Linux, and this is darwin/ });
  t.match(await loadUring({ ...here, importKoffi: () => Promise.reject(new Error('not there')) }), {
    reason: /needs the package koffi, which cannot be loaded: not there/,
  });
});

t.test('a kernel that refuses is named', needs('strace'), async t => {
  const script = `import(${JSON.stringify(moduleUrl('lib/transport/uring/load'))}).then(async m => console.log('said: ' + (await m.loadUring()).reason))`;
  for (const [call, error] of [
    ['io_uring_setup', 'EPERM'],
    ['io_uring_setup', 'ENOSYS'],
    ['io_uring_register', 'EINVAL'],
  ] as const) {
    const { stdout } = await run(t, 'strace', [
      ...['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:error=${error}`],
      ...[process.execPath, ...LOADER, '--eval', script],
    ]);
    t.match(
      stdout,
      new RegExp(`the io_uring transport cannot be used here: .*${error}`),
      `${call}: ${error}`,
    );
  }
});

t.test('a hundred slow peers hold none of the buffers that the others need', async t => {
  const world = openWorld(t, 'io_uring');
  const relay = async () => {
    const [left, right] = [await world.pair(), await world.pair()];
    world.transport.relay(left.accepted.connection, right.dialled.connection, { onRelayEnd() {} });
    return { client: left.dialled, backend: right.accepted };
  };
  const much = Buffer.alloc(400_000, 'x');
  const slow: { client: Side; backend: Side; sent: number }[] = [];
  for (let count = 0; count < 100; count++) {
    const sides = await relay();
    sides.backend.connection.pause();
    slow.push({ ...sides, sent: 0 });
  }
  for (const session of slow) {
    for (let piece = 0; piece < 20; piece++) {
      session.sent += much.length;
      if (!session.client.connection.write(much)) break;
    }
  }
  // Meanwhile somebody else's session goes on as if they were not there.
  const quick = await relay();
  for (let round = 1; round <= 20; round++) {
    quick.client.connection.write(Buffer.from('NOOP\r\n'));
    await quick.backend.told.received(6 * round);
  }
  for (const { backend } of slow) backend.connection.resume();
  await eventually('all of it to arrive', () =>
    slow.every(({ backend, sent }) => backend.told.bytes.length === sent),
  );
  t.pass(`${slow.length} sessions, ${slow.reduce((sum, { sent }) => sum + sent, 0)} octets`);
});

t.test('a connection is over for its owner at once, whatever is under way for it', async t => {
  const world = openWorld(t, 'io_uring');
  for (let round = 0; round < 200; round++) {
    const { accepted, dialled } = await world.pair();
    accepted.connection.write(Buffer.from('220 hello\r\n'));
    if (round % 2 === 0) await dialled.told.received(1);
    if (round % 3 === 0) dialled.connection.reset();
    else dialled.connection.destroy();
    accepted.connection.destroy();
  }
  const told = recorder();
  const listening = await world.listen();
  const late = world.transport.connect(listening.address, told);
  late.destroy();
  await listening.accept().catch(() => {});
  t.same(told.events, [], 'not even that it was connected');
});
