/** Every error that an operation of io_uring can complete with: what it is told as, once, and that nothing is left open. */
import t from 'tap';
import type { CloseReason } from '../../lib/transport/contract.ts';
import { loadUring } from '../../lib/transport/uring/load.ts';
import { eventuallyEqual } from '../support/eventually.ts';
import { type ErrorName, type FaultyWorld, openFaultyWorld } from './faulty-world.ts';

const ERRORS = [
  ...['EINTR', 'EAGAIN', 'EPIPE', 'ECONNRESET', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'ETIMEDOUT'],
  ...['EHOSTUNREACH', 'EADDRNOTAVAIL', 'ECANCELED'],
] as ErrorName[];

/** Once more, and nobody is told: what was to be read or written is still there. */
const PASSING = new Set<ErrorName>(['EINTR', 'EAGAIN', 'ENOBUFS', 'ENOMEM']);

const DIALLED: Readonly<Partial<Record<ErrorName, CloseReason>>> = {
  EAGAIN: 'refused',
  EPIPE: 'reset',
  ECONNRESET: 'reset',
  EMFILE: 'no-descriptors',
  ENFILE: 'no-descriptors',
  ETIMEDOUT: 'timed-out',
  EHOSTUNREACH: 'unreachable',
  EADDRNOTAVAIL: 'no-ports',
};

const skip = (await loadUring()).reason ?? false;
const receives = ({ calls }: FaultyWorld): number => calls.get('ring/receive') ?? 0;
const closes = ({ calls }: FaultyWorld): number => calls.get('close') ?? 0;

/** A connection, both of its ends, and what becomes of it. */
async function pair(world: FaultyWorld) {
  const near = world.dial();
  const far = await world.accept();
  await near.told.came('connect');
  return { near, far };
}

t.test('accept: the client is served all the same', { skip }, async t => {
  for (const error of ERRORS) {
    // All that wait on a listening socket fail, and then each once more.
    const world = await openFaultyWorld(t, 'io_uring', { 'ring/accept': Array(32).fill(error) });
    const { near, far } = await pair(world);
    t.equal(world.fails.get('ring/accept')?.length, 0, `${error}: served after all had failed`);
    near.connection.write(Buffer.from('hello'));
    await far.told.received(5);
    near.connection.destroy();
    await far.told.came('end');
    far.connection.destroy();
    await world.tidy();
    t.strictSame(world.faults, []);
  }
});

t.test('connect: told by name, once, and closed once', { skip }, async t => {
  const world = await openFaultyWorld(t, 'io_uring');
  for (const error of ERRORS) {
    const before = closes(world);
    world.fails.set('ring/connect', [error]);
    const { connection, told } = world.dial();
    connection.write(Buffer.from('too early'));
    t.equal(await told.closed(), DIALLED[error] ?? 'failed', error);
    connection.destroy();
    await world.tidy();
    t.equal(told.events.length, 1, 'once');
    t.equal(closes(world) - before, 1, 'closed once');
  }
  t.strictSame(world.faults, []);
});

for (const kind of ['receive', 'send'] as const)
  t.test(`${kind}: again where that helps, else reset, once`, { skip }, async t => {
    const world = await openFaultyWorld(t, 'io_uring');
    for (const error of ERRORS) {
      const [before, receivesBefore] = [closes(world), receives(world)];
      const { near, far } = await pair(world);
      const [reader, writer] = [near, far];
      const failing = kind === 'receive' ? reader : writer;
      const other = kind === 'receive' ? writer : reader;
      // Both ends have a receive that waits in the kernel already: what fails is the reader's next one.
      await eventuallyEqual('receives', async () => receives(world) - receivesBefore, 2);
      world.fails.set(`ring/${kind}`, [error, error]);
      const text = 'one two three';
      writer.connection.write(Buffer.from(text));
      if (PASSING.has(error)) {
        t.equal(String(await reader.told.received(text.length)), text, `${error}: whole, in order`);
        await eventuallyEqual('errors left', async () => world.fails.get(`ring/${kind}`)?.length, 0);
        failing.connection.destroy();
      } else {
        t.equal(await failing.told.closed(), 'reset', error);
        t.equal(failing.told.events.filter(event => event.startsWith('close')).length, 1, 'once');
      }
      world.fails.clear();
      other.connection.destroy();
      await world.tidy();
      t.equal(closes(world) - before, 2, 'each end closed once');
    }
    t.strictSame(world.faults, []);
  });

t.test('waits for room and for a reset: what is asked again shows it', { skip }, async t => {
  const world = await openFaultyWorld(t, 'io_uring');
  const much = Buffer.alloc(16_000_000, 'x');
  for (const error of ERRORS) {
    const before = closes(world);
    const { near, far } = await pair(world);
    far.connection.pause();
    world.fails.set('ring/writable', [error, error]);
    t.equal(near.connection.write(much), false);
    await eventuallyEqual('errors left', async () => world.fails.get('ring/writable')?.length, 0);
    t.notOk(near.told.events.includes('drain'));
    far.connection.resume();
    await far.told.received(much.length);
    await near.told.came('drain');
    t.ok(
      near.told.events.every(event => !event.startsWith('close')),
      `writable ${error}: all of it arrives`,
    );
    near.connection.destroy();
    far.connection.destroy();
    await world.tidy();
    t.equal(closes(world) - before, 2, 'each end closed once');
  }
  t.strictSame(world.faults, []);
});

t.test('closing: whatever the kernel says of it, once', { skip }, async t => {
  const world = await openFaultyWorld(t, 'io_uring');
  for (const error of ERRORS)
    for (const call of ['close', 'shutdown', 'setsockopt'] as const) {
      const { near, far } = await pair(world);
      const before = closes(world);
      world.fails.set(call, [error, error]);
      near.connection.keepAlive();
      near.connection.end();
      if (call === 'shutdown') near.connection.destroy(); // nobody else would tell the peer
      await far.told.came('end');
      far.connection.end();
      if (call !== 'shutdown') t.equal(await near.told.closed(), 'ended', `${call} ${error}`);
      t.equal(await far.told.closed(), 'ended');
      await world.tidy();
      t.equal(closes(world) - before, 2, 'each end closed once');
      world.fails.clear();
    }
  t.strictSame(world.faults, []);
});
