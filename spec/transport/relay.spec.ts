import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import t from 'tap';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import type { RelayEnd } from '../../lib/transport/contract.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { eventuallyEqual } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { start as startProgram } from '../support/processes.ts';
import { openWorld, TRANSPORTS } from './peers.ts';

const CHUNK = randomBytes(65_536);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

for (const name of TRANSPORTS) {
  /** client — (first | second) — backend, with the relay in the middle. */
  const relayed = async (owner: Owner) => {
    const world = openWorld(owner, name);
    const [left, right] = [await world.pair(), await world.pair()];
    const ends: RelayEnd[] = [];
    const start = () =>
      world.transport.relay(left.accepted.connection, right.dialled.connection, {
        onRelayEnd: end => void ends.push(end),
      });
    return { client: left.dialled, backend: right.accepted, left, right, ends, start };
  };

  t.test(`${name}: bytes go both ways, unchanged, in order, and are counted`, async t => {
    const seed = seedOfRun();
    const random = randomFrom(seed);
    const { client, backend, ends, start } = await relayed(t);
    const relay = start();
    const there = randomBytes(3_000_000);
    const back = randomBytes(2_000_000);
    for (const [side, bytes] of [
      [client, there],
      [backend, back],
    ] as const) {
      for (let at = 0; at < bytes.length; ) {
        const size = 1 + random.below(random.pick([1, 100, 100_000]));
        side.connection.write(bytes.subarray(at, at + size));
        at += size;
      }
    }
    t.equal(sha256(await backend.told.received(there.length)), sha256(there), `seed ${seed}`);
    t.equal(sha256(await client.told.received(back.length)), sha256(back));
    t.strictSame([relay.bytesFromFirst, relay.bytesFromSecond], [there.length, back.length]);
    client.connection.end();
    backend.connection.end();
    await eventuallyEqual('the end', () => ends.join(), 'ended');
  });

  t.test(`${name}: a half-close is passed on, and what the other side says after it too`, async t => {
    for (const early of ['client', 'backend'] as const) {
      const sides = await relayed(t);
      sides.start();
      const [first, then] =
        early === 'client' ? [sides.client, sides.backend] : [sides.backend, sides.client];
      first.connection.write(Buffer.from('QUIT\r\n'));
      first.connection.end();
      await then.told.came('end');
      t.equal(String(then.told.bytes), 'QUIT\r\n');
      t.strictSame(sides.ends, [], 'one direction is open');
      const rest = randomBytes(500_000);
      then.connection.write(rest);
      then.connection.end();
      t.ok(rest.equals(await first.told.received(rest.length)));
      t.equal(await first.told.closed(), 'ended');
      t.equal(await then.told.closed(), 'ended');
      await eventuallyEqual('the end', () => sides.ends.join(), 'ended');
    }
  });

  t.test(`${name}: a reset is passed on as a reset, and it is known whose it was`, async t => {
    for (const [who, end] of [
      ['client', 'first-reset'],
      ['backend', 'second-reset'],
    ] as const) {
      const { client, backend, ends, start } = await relayed(t);
      start();
      client.connection.write(Buffer.from('a'));
      backend.connection.write(Buffer.from('b'));
      await Promise.all([backend.told.received(1), client.told.received(1)]);
      const [gone, other] = who === 'client' ? [client, backend] : [backend, client];
      const begunMs = performance.now();
      gone.connection.reset();
      t.equal(await other.told.closed(), 'reset');
      t.comment(`${who}: passed on after ${(performance.now() - begunMs).toFixed(1)} ms`);
      await eventuallyEqual('the end', () => ends.join(), end);
    }
  });

  t.test(
    `${name}: a reset from one side when the other had ended is passed on, and is an end in order`,
    async t => {
      const { client, backend, ends, start } = await relayed(t);
      start();
      client.connection.end();
      await backend.told.came('end');
      backend.connection.reset();
      t.equal(await client.told.closed(), 'reset');
      await eventuallyEqual('the end', () => ends.join(), 'ended');
    },
  );

  t.test(`${name}: an end from before the relay counts as well`, async t => {
    const { client, backend, left, ends, start } = await relayed(t);
    client.connection.end();
    await left.accepted.told.came('end');
    start();
    backend.connection.reset();
    t.equal(await client.told.closed(), 'reset');
    await eventuallyEqual('the end', () => ends.join(), 'ended');
  });

  t.test(`${name}: who does not read makes the other wait, and nothing is lost`, async t => {
    const { client, backend, start } = await relayed(t);
    const relay = start();
    backend.connection.pause();
    let written = 0;
    let waits = 0;
    while (waits < 2 && written < 64 * 1_048_576) {
      written += CHUNK.length;
      if (client.connection.write(CHUNK)) continue;
      // Room again is room that the relay made; the second time it has none left to make.
      waits++;
      if (waits === 1) await client.told.came('drain').catch(() => {});
    }
    t.ok(written < 64 * 1_048_576, `the client was told to wait, after ${written} bytes`);
    client.connection.end();
    backend.connection.resume();
    await backend.told.came('end');
    t.equal(backend.told.bytes.length, written);
    t.equal(relay.bytesFromFirst, written);
    backend.connection.write(Buffer.from('250 ok\r\n'));
    t.equal(String(await client.told.received(8)), '250 ok\r\n', 'and the way back is open');
  });

  t.test(`${name}: what was paused before the relay is not paused in it`, async t => {
    const { client, backend, left, right, start } = await relayed(t);
    left.accepted.connection.pause();
    right.dialled.connection.pause();
    client.connection.write(Buffer.from('early'));
    backend.connection.write(Buffer.from('220 '));
    start();
    t.equal(String(await backend.told.received(5)), 'early');
    t.equal(String(await client.told.received(4)), '220 ');
  });

  t.test(`${name}: a relay that begins while one side is full goes on when there is room`, async t => {
    const { client, backend, right, start } = await relayed(t);
    backend.connection.pause();
    let before = 0;
    do before += CHUNK.length;
    while (right.dialled.connection.write(CHUNK));
    const relay = start();
    client.connection.write(Buffer.from('after'));
    backend.connection.resume();
    const all = await backend.told.received(before + 5);
    t.equal(all.length, before + 5);
    t.equal(String(all.subarray(before)), 'after');
    t.equal(relay.bytesFromFirst, 5, 'only what the relay moved is counted');
  });

  t.test(`${name}: a relay that has lasted has the kernel look after silent peers`, needs('ss'), async t => {
    const { left, right, start } = await relayed(t);
    const ours = [left.accepted.connection, right.dialled.connection].map(({ local, remote }) => [
      local,
      remote,
    ]);
    const relay = start();
    relay.keepAlive();
    relay.keepAlive();
    for (const [local, remote] of ours) {
      const filter = `src ${formatAddress(local as Address)} dst ${formatAddress(remote as Address)}`;
      t.match(
        execFileSync('ss', ['-tnoH', ...filter.split(' ')], { encoding: 'utf8' }),
        /timer:\(keepalive,/,
      );
    }
  });

  t.test(`${name}: a relay that is destroyed tells nobody, and both sides see an end`, async t => {
    const { client, backend, ends, start } = await relayed(t);
    const relay = start();
    client.connection.write(Buffer.from('x'));
    await backend.told.received(1);
    relay.destroy();
    await Promise.all([client.told.came('end'), backend.told.came('end')]);
    relay.destroy();
    t.strictSame(ends, []);
    t.equal(relay.bytesFromFirst, 1, 'the count outlives it');
  });
}

const MUCH = 4_000_000;
/** Sends much, an urgent octet and a little more, when it is told to; stays or ends, and leaves when it is told to. */
const URGENT = `
import socket, sys
for port in sys.argv[1:]:
    for ends in (False, True):
        peer = socket.create_connection(('127.0.0.1', int(port)))
        peer.recv(1)
        peer.sendall(b'x' * ${MUCH})
        peer.send(b'!', socket.MSG_OOB)
        peer.sendall(b'y' * 1000)
        if ends:
            peer.shutdown(socket.SHUT_WR)
        peer.recv(1)
`;

t.test('urgent data amid much else hides nothing that comes behind it', needs('python3'), async t => {
  const worlds = TRANSPORTS.map(name => openWorld(t, name));
  const listening = await Promise.all(worlds.map(world => world.listen()));
  const ports = listening.map(({ address }) => (address.family === 'unix' ? '' : `${address.port}`));
  startProgram(t, 'python3', ['-c', URGENT, ...ports]);
  for (const [index, { transport, pair }] of worlds.entries()) {
    for (const then of ['stays', 'ends']) {
      const client = await (listening[index] as (typeof listening)[number]).accept();
      const { accepted: backend, dialled } = await pair();
      const relay = transport.relay(client.connection, dialled.connection, { onRelayEnd() {} });
      backend.connection.write(Buffer.from('!'));
      const heard = await backend.told.received(MUCH + 1_000);
      t.equal(String(heard.subarray(MUCH - 9)), `${'x'.repeat(9)}${'y'.repeat(1_000)}`);
      if (then === 'ends') await backend.told.came('end');
      t.equal(relay.bytesFromFirst, MUCH + 1_000, `${transport.name}, who ${then}`);
      backend.connection.write(Buffer.from('!'));
    }
  }
});
