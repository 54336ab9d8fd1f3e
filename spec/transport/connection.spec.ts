import { randomBytes } from 'node:crypto';
import t from 'tap';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import type { Owner } from '../support/owner.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { addresses, openWorld, type Side, TRANSPORTS } from './peers.ts';

/** What a socket and its kernel hold for a peer that does not read, at the most: then `write` must have said "wait". */
const MUCH = 64 * 1_048_576;
const CHUNK = randomBytes(65_536);

/** Writes until told to wait; returns how much that was. */
function fill({ connection }: Side): number {
  let written = 0;
  while (written < MUCH) {
    written += CHUNK.length;
    if (!connection.write(CHUNK)) return written;
  }
  throw new Error(`${written} bytes written, and never told to wait`);
}

for (const name of TRANSPORTS) {
  t.test(`${name}: connections on every kind of address`, async t => {
    for (const [kind, address] of addresses(await temporaryDirectory(t))) {
      const connect = (t: Owner) => openWorld(t, name).pair(address);

      t.test(`${kind}: bytes in order both ways, and each half is closed by its own end`, async t => {
        const { accepted, dialled } = await connect(t);
        dialled.connection.write(Buffer.from('EHLO '));
        dialled.connection.write(Buffer.from('x\r\n'));
        t.equal(String(await accepted.told.received(8)), 'EHLO x\r\n');
        dialled.connection.end();
        await accepted.told.came('end');
        t.strictSame(accepted.told.events, ['end'], 'half-closed is not closed');
        const reply = randomBytes(300_000);
        accepted.connection.write(reply);
        accepted.connection.end();
        t.ok(
          reply.equals(await dialled.told.received(reply.length)),
          'what follows a half-close is delivered',
        );
        t.equal(await dialled.told.closed(), 'ended');
        t.equal(await accepted.told.closed(), 'ended');
        t.strictSame(dialled.told.events, ['connect', 'end', 'close ended']);
        t.strictSame(accepted.told.events, ['end', 'close ended']);
      });

      t.test(`${kind}: both ends know where they are`, async t => {
        const { accepted, dialled } = await connect(t);
        if (address.family === 'unix') {
          t.strictSame(accepted.connection.remote, { family: 'unix', path: '' });
          return;
        }
        t.match(accepted.connection.remote, { family: address.family, host: address.host });
        t.strictSame(accepted.connection.remote, dialled.connection.local);
        t.strictSame(dialled.connection.remote, accepted.connection.local);
      });

      t.test(
        `${kind}: a paused connection hears neither bytes nor the end, and all of it when resumed`,
        async t => {
          const { accepted, dialled } = await connect(t);
          accepted.connection.pause();
          dialled.connection.write(Buffer.from('held'));
          dialled.connection.end();
          // The other direction goes on meanwhile, and a round trip gives the held bytes time to arrive.
          accepted.connection.write(Buffer.from('there'));
          await dialled.told.received(5);
          t.strictSame([accepted.told.events, accepted.told.bytes.length], [[], 0]);
          accepted.connection.resume();
          await accepted.told.came('end');
          t.equal(String(accepted.told.bytes), 'held');
        },
      );

      t.test(
        `${kind}: a peer that does not read is noticed, and nothing is lost when it reads again`,
        async t => {
          const { accepted, dialled } = await connect(t);
          accepted.connection.pause();
          const written = fill(dialled);
          t.comment(`told to wait after ${written} bytes`);
          t.notOk(dialled.told.events.includes('drain'));
          accepted.connection.resume();
          await dialled.told.came('drain');
          const all = await accepted.told.received(written);
          t.equal(all.length, written);
          t.ok(all.subarray(-CHUNK.length).equals(CHUNK));
          t.equal(dialled.told.events.filter(event => event === 'drain').length, 1);
        },
      );

      t.test(`${kind}: an end waits for what was written before it`, async t => {
        const { accepted, dialled } = await connect(t);
        accepted.connection.pause();
        const written = fill(dialled);
        dialled.connection.end();
        accepted.connection.resume();
        await accepted.told.came('end');
        t.equal(accepted.told.bytes.length, written);
      });

      t.test(`${kind}: after destroy nothing is told any more, and the peer sees the end`, async t => {
        const { accepted, dialled } = await connect(t);
        dialled.connection.destroy();
        accepted.connection.end();
        await accepted.told.closed();
        t.strictSame(dialled.told.events, ['connect']);
        const { connection } = dialled;
        t.doesNotThrow(() => {
          connection.write(Buffer.from('late'));
          connection.pause();
          connection.resume();
          connection.end();
          connection.destroy();
          connection.reset();
        }, 'what comes too late does nothing');
        await new Promise(resolve => setImmediate(resolve));
        t.strictSame(dialled.told.events, ['connect']);
      });

      t.test(`${kind}: a reset ends the connection and is told to nobody here`, async t => {
        const { accepted, dialled } = await connect(t);
        t.doesNotThrow(() => dialled.connection.reset());
        if (address.family === 'unix') await accepted.told.came('end');
        else t.equal(await accepted.told.closed(), 'reset', 'the peer sees RST');
        t.strictSame(dialled.told.events, ['connect']);
        if (address.family !== 'unix')
          t.strictSame(accepted.told.events, ['close reset'], 'once, and no end before');
      });

      t.test(`${kind}: a reset right after an end is one, and nothing is left open`, async t => {
        const { accepted, dialled } = await connect(t);
        accepted.connection.end();
        accepted.connection.reset();
        await dialled.told.came('end');
        // Whoever is there no longer does not take this, and says so.
        await eventually('the reset', () => {
          dialled.connection.write(Buffer.from('QUIT'));
          return dialled.told.events.includes('close reset');
        });
      });

      t.test(`${kind}: a handler that throws ends its connection and no other`, async t => {
        const world = openWorld(t, name);
        const { accepted, dialled } = await world.pair(address);
        const other = await world.pair(
          address.family === 'unix' ? { ...address, path: `${address.path}2` } : address,
        );
        accepted.told.onBytes = () => {
          throw new Error('a fault of the program');
        };
        dialled.connection.write(Buffer.from('x'));
        t.equal(await accepted.told.closed(), 'failed');
        t.match(world.faults, [{ message: 'a fault of the program' }]);
        await dialled.told.came('end');
        other.dialled.connection.write(Buffer.from('y'));
        t.equal(String(await other.accepted.told.received(1)), 'y');
        t.strictSame(accepted.told.events, ['close failed'], 'once');
      });
    }
  });

  t.test(`${name}: every callback may throw`, async t => {
    for (const event of ['onEnd', 'onDrain', 'onClose'] as const) {
      const world = openWorld(t, name);
      const { accepted, dialled } = await world.pair();
      dialled.told[event] = () => {
        throw new Error(event);
      };
      accepted.connection.pause();
      fill(dialled);
      accepted.connection.resume();
      await eventually('the bytes', () => accepted.told.bytes.length > 0);
      accepted.connection.end();
      if (event === 'onClose') dialled.connection.end();
      await eventuallyEqual(event, () => world.faults.length, 1);
      t.match(world.faults, [{ message: event }]);
    }
  });

  t.test(`${name}: a handler may be exchanged at any time, also while it is called`, async t => {
    const { accepted, dialled } = await openWorld(t, name).pair();
    const told: string[] = [];
    const { handler } = accepted.connection;
    accepted.connection.handler = {
      ...handler,
      onBytes(bytes) {
        told.push(`first ${Buffer.from(bytes)}`);
        accepted.connection.handler = {
          ...handler,
          onBytes: more => void told.push(`second ${Buffer.from(more)}`),
        };
        dialled.connection.write(Buffer.from('b'));
      },
    };
    dialled.connection.write(Buffer.from('a'));
    await eventuallyEqual('both', () => told.join(', '), 'first a, second b');
  });

  t.test(
    `${name}: a connection that is destroyed within its own callback hears nothing after it`,
    async t => {
      const { accepted, dialled } = await openWorld(t, name).pair();
      let calls = 0;
      accepted.told.onBytes = () => {
        calls++;
        accepted.connection.destroy();
      };
      dialled.connection.write(CHUNK);
      dialled.connection.write(CHUNK);
      dialled.connection.end();
      await dialled.told.closed();
      t.equal(calls, 1);
      t.strictSame(accepted.told.events, []);
    },
  );

  t.test(`${name}: what a peer reset cannot be written to, and that is no fault`, async t => {
    const { accepted, dialled } = await openWorld(t, name).pair();
    accepted.connection.reset();
    t.doesNotThrow(() => {
      for (let at = 0; at < 100; at++) dialled.connection.write(CHUNK);
    });
    t.equal(await dialled.told.closed(), 'reset');
    t.strictSame(
      dialled.told.events.filter(event => event.startsWith('close')),
      ['close reset'],
      'closed once',
    );
    t.doesNotThrow(() => dialled.connection.write(CHUNK));
  });
}
