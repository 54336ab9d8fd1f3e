/**
 * Many relayed sessions at once, each with a will of its own: random sizes, slow readers, half-closes, resets. Whatever
 * was not reset arrives, octet for octet, both ways, and nothing is left open. SMTPLB_SEED replays a run.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net';
import t from 'tap';
import { ipAddress } from '../../lib/core/address.ts';
import type { RelayEnd } from '../../lib/transport/contract.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { within } from '../support/eventually.ts';
import { LOOPBACK, openWorld, recorder, TRANSPORTS } from './peers.ts';

const SESSIONS = 40;
const LARGEST = 1_000_000;
const seed = seedOfRun();

/** What one end does: how much it says, in what pieces, how slowly it listens, and whether it resets on the way. */
interface Will {
  readonly octets: number;
  readonly piece: number;
  readonly readsSlowly: boolean;
  /** Resets after so many octets were sent; -1: never. */
  readonly resetAfter: number;
}

interface Heard {
  readonly digest: string;
  readonly octets: number;
  readonly how: 'ended' | 'reset';
}

/** Plays one end to its end; resolves with what it has heard. */
async function play(socket: Socket, will: Will, content: Buffer): Promise<Heard> {
  const hash = createHash('sha1');
  let octets = 0;
  let how: Heard['how'] = 'ended';
  socket.on('error', () => {
    how = 'reset';
  });
  socket.on('data', chunk => {
    hash.update(chunk);
    octets += chunk.length;
    if (!will.readsSlowly) return;
    socket.pause();
    setTimeout(() => socket.resume(), 2);
  });
  const closed = once(socket, 'close').catch(() => {});
  for (let at = 0; at < will.octets && !socket.destroyed; at += will.piece) {
    if (will.resetAfter >= 0 && at >= will.resetAfter) {
      socket.resetAndDestroy();
      how = 'reset';
      break;
    }
    const room = socket.write(content.subarray(at, Math.min(at + will.piece, will.octets)));
    if (!room) await Promise.race([once(socket, 'drain').catch(() => {}), closed]);
  }
  // One that still connects is reset when it has. An end on top of that would leave it open for ever: see reset.ts.
  if (!socket.destroyed && how === 'ended') socket.end();
  await closed;
  return { digest: hash.digest('hex'), octets, how };
}

const digestOf = (content: Uint8Array) => createHash('sha1').update(content).digest('hex');

for (const name of TRANSPORTS) {
  t.test(`${name}: ${SESSIONS} sessions with wills of their own`, async t => {
    t.comment(`SMTPLB_SEED=${seed}`);
    const { below } = randomFrom(seed);
    const chance = (percent: number) => below(100) < percent;
    const content = Buffer.alloc(LARGEST);
    for (let at = 0; at < LARGEST; at++) content[at] = below(256);
    const will = (mayReset: boolean): Will => {
      const octets = Math.floor(LARGEST ** (below(1_000) / 1_000));
      return {
        octets,
        piece: Math.max(Math.ceil(octets / 300), 1 + below(chance(50) ? 200 : 100_000)),
        readsSlowly: chance(30),
        resetAfter: mayReset && chance(50) ? below(octets) : -1,
      };
    };

    const world = openWorld(t, name);
    const backend = createServer({ allowHalfOpen: true });
    backend.listen(0, '127.0.0.1');
    await once(backend, 'listening');
    const open = new Set<{ destroy(): void }>();
    t.teardown(() => {
      backend.close();
      for (const end of open) end.destroy();
    });
    const { port } = backend.address() as AddressInfo;
    const ends: RelayEnd[] = [];
    const listening = await world.transport.listen(LOOPBACK, { backlog: 128 }, accepted => {
      open.add(accepted);
      accepted.pause();
      // Either may be gone before there is anything to relay.
      accepted.handler = { ...recorder(), onClose: () => dialled.reset() };
      const dialled = world.transport.connect(ipAddress('127.0.0.1', port) ?? LOOPBACK, {
        ...recorder(),
        onClose: () => accepted.reset(),
        onConnect: () =>
          void world.transport.relay(accepted, dialled, { onRelayEnd: end => void ends.push(end) }),
      });
      open.add(dialled);
    });

    const session = async (): Promise<boolean> => {
      const mayReset = chance(20);
      const [ours, theirs] = [will(mayReset), will(mayReset)];
      const { address } = listening;
      const client = dial({
        port: address.family === 'unix' ? 0 : address.port,
        host: '127.0.0.1',
        allowHalfOpen: true,
      });
      const accepted = once(backend, 'connection');
      const [socket] = (await accepted) as [Socket];
      open.add(client).add(socket);
      const played = Promise.all([play(client, ours, content), play(socket, theirs, content)]);
      await within('both ends', played, 30_000);
      const [atClient, atBackend] = await played;
      if (atClient.how === 'reset' || atBackend.how === 'reset') return true;
      const whole =
        atClient.octets === theirs.octets &&
        atBackend.octets === ours.octets &&
        atClient.digest === digestOf(content.subarray(0, theirs.octets)) &&
        atBackend.digest === digestOf(content.subarray(0, ours.octets));
      if (!whole) t.fail(JSON.stringify({ ours, theirs, atClient, atBackend }));
      return whole;
    };
    // Connections are told apart by their order: one is made after the other, and then all live at once.
    const outcomes: Promise<boolean>[] = [];
    for (let count = 0; count < SESSIONS; count++) {
      const before = once(backend, 'connection');
      outcomes.push(session());
      await before;
    }
    t.ok((await Promise.all(outcomes)).every(good => good));
    await listening.close();
    t.same(world.faults, []);
  });
}
