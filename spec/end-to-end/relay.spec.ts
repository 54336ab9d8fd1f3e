import { createHash, type Hash } from 'node:crypto';
import t from 'tap';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import type { SessionView } from '../../lib/session/record.ts';
import { eventually } from '../support/eventually.ts';
import { type Instance, mx, startInstance, TRANSPORTS, type TransportName } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { type BackendConnection, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient, type SmtpClient } from '../support/smtp-client.ts';

const MIB = 1_048_576;
const GREETING = '220 backend.example ESMTP\r\n';
/** A command that the handshake observer does not know: from here on nothing is read along. */
const OPAQUE = 'XYZZY\r\n';
const ANSWER = '500 5.5.1 what\r\n';

/** Octets that do not compress, look like no text, and are the same for the same seed. */
function* noise(seed: number, octets: number, piece = 65_536): Generator<Buffer> {
  let state = seed >>> 0 || 1;
  for (let left = octets; left > 0; left -= piece) {
    const bytes = Buffer.allocUnsafe(Math.min(piece, left));
    for (let at = 0; at < bytes.length; at++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      bytes[at] = state >>> 8;
    }
    yield bytes;
  }
}

/** Sends it all and returns its SHA-256. */
async function send(
  peer: { write(bytes: Uint8Array): Promise<void> },
  pieces: Iterable<Buffer>,
  hash: Hash = createHash('sha256'),
): Promise<string> {
  for (const piece of pieces) {
    hash.update(piece);
    await peer.write(piece);
  }
  return hash.digest('hex');
}

interface Pair {
  readonly instance: Instance;
  readonly client: SmtpClient;
  readonly backend: BackendConnection;
}

/** A client and a backend with a relay between them and not a byte under way. */
async function relayed(
  owner: Owner,
  transport: TransportName,
  listener: Readonly<Record<string, unknown>> = {},
  record: 'all' | 'digest' = 'all',
): Promise<Pair> {
  const scripted = await startScriptedBackend(owner, connection => connection.write(GREETING), { record });
  const instance = await startInstance(owner, transport, mx([formatAddress(scripted.address)], {}, listener));
  const client = await connectClient(owner, instance.address(), { record });
  const backend = await scripted.connection();
  await client.write(OPAQUE);
  await eventually('the command', () => backend.octets === OPAQUE.length);
  await backend.write(ANSWER);
  await eventually('the answer', () => client.octets === GREETING.length + ANSWER.length);
  return { instance, client, backend };
}

function digestOf(before: string): Hash {
  return createHash('sha256').update(before);
}

for (const transport of TRANSPORTS) {
  t.test(`${transport}: 64 MiB of anything, both ways at once, arrive as they were sent`, async t => {
    const { instance, client, backend } = await relayed(t, transport, {}, 'digest');
    const startedAt = performance.now();
    const [fromClient, fromBackend] = await Promise.all([
      send(client, noise(1, 64 * MIB), digestOf(OPAQUE)).finally(() => client.end()),
      send(backend, noise(2, 64 * MIB), digestOf(GREETING + ANSWER)).finally(() => backend.end()),
    ]);
    await Promise.all([client.expectClosed('fin'), backend.expectClosed('fin')]);
    const seconds = (performance.now() - startedAt) / 1_000;
    t.comment(`128 MiB in ${seconds.toFixed(2)} s, ${(128 / seconds).toFixed(0)} MiB/s`);
    t.equal(backend.digest(), fromClient);
    t.equal(client.digest(), fromBackend);
    const [record] = await instance.sessions(1);
    t.match(record, {
      cause: 'normal',
      phase: 'relaying',
      bytesFromClient: 64 * MIB + OPAQUE.length,
      bytesFromBackend: 64 * MIB + GREETING.length + ANSWER.length,
    });
    const metrics = await instance.metrics();
    t.equal(metrics.value('smtplb_bytes_total', { from: 'client' }), 64 * MIB + OPAQUE.length);
    t.equal(
      metrics.value('smtplb_bytes_total', { from: 'backend' }),
      64 * MIB + GREETING.length + ANSWER.length,
    );
    await instance.idle();
  });

  t.test(`${transport}: many small pieces keep their order`, async t => {
    const { instance, client, backend } = await relayed(t, transport, {}, 'digest');
    const [fromClient, fromBackend] = await Promise.all([
      send(client, noise(3, 40_000, 7), digestOf(OPAQUE)).finally(() => client.end()),
      send(backend, noise(4, 40_000, 11), digestOf(GREETING + ANSWER)).finally(() => backend.end()),
    ]);
    await Promise.all([client.expectClosed('fin'), backend.expectClosed('fin')]);
    t.equal(backend.digest(), fromClient);
    t.equal(client.digest(), fromBackend);
    await instance.idle();
  });

  t.test(`${transport}: both sides stop reading for a while, and nothing is lost`, async t => {
    const { instance, client, backend } = await relayed(t, transport, {}, 'digest');
    client.pause();
    backend.pause();
    const sent = Promise.all([
      send(client, noise(5, 16 * MIB), digestOf(OPAQUE)).finally(() => client.end()),
      send(backend, noise(6, 16 * MIB), digestOf(GREETING + ANSWER)).finally(() => backend.end()),
    ]);
    // Both directions are stuck when a scrape sees nothing move.
    let seen = -1;
    await eventually('a standstill', async () => {
      const last = seen;
      seen =
        (await instance.metrics()).sum('process_resident_memory_bytes') && backend.octets + client.octets;
      return last === seen;
    });
    client.resume();
    backend.resume();
    const [fromClient, fromBackend] = await sent;
    await Promise.all([client.expectClosed('fin'), backend.expectClosed('fin')]);
    t.equal(backend.digest(), fromClient);
    t.equal(client.digest(), fromBackend);
    await instance.idle();
  });

  for (const first of ['client', 'backend'] as const) {
    t.test(`${transport}: the ${first} half-closes, and still gets what follows`, async t => {
      const pair = await relayed(t, transport);
      const other = first === 'client' ? 'backend' : 'client';
      await pair[first].write('last words\r\n');
      const endedAt = performance.now();
      pair[first].end();
      await pair[other].expectClosed('fin');
      t.comment(`the ${other} saw it after ${(performance.now() - endedAt).toFixed(1)} ms`);
      t.match(pair[other].received.toString(), /last words\r\n$/);
      await pair[other].write('and an answer,\r\n');
      await pair[first].until('and an answer,\r\n');
      await pair[other].write(Buffer.alloc(MIB, 'x'));
      pair[other].end();
      await pair[first].expectClosed('fin');
      t.match(pair[first].received.subarray(-MIB), Buffer.alloc(MIB, 'x'));
      t.match(await pair.instance.sessions(1), [{ cause: 'normal', phase: 'relaying' }]);
      await pair.instance.idle();
    });

    t.test(`${transport}: the ${first} resets, and the other side sees a reset`, async t => {
      const pair = await relayed(t, transport);
      const other = first === 'client' ? 'backend' : 'client';
      const resetAt = performance.now();
      pair[first].reset();
      await pair[other].expectClosed('rst');
      t.comment(`the ${other} saw it after ${(performance.now() - resetAt).toFixed(1)} ms`);
      t.match(await pair.instance.sessions(1), [{ cause: `${first}-reset`, phase: 'relaying' }]);
      await pair.instance.idle();
    });

    t.test(`${transport}: the ${first} half-closes, then resets`, async t => {
      const pair = await relayed(t, transport);
      const other = first === 'client' ? 'backend' : 'client';
      pair[first].end();
      await pair[other].expectClosed('fin');
      pair[first].reset();
      // A reset behind a FIN shows when something is sent towards it.
      await eventually('a reset', async () => {
        await pair[other].write('still there?\r\n');
        return pair[other].closing === 'rst';
      });
      t.match(await pair.instance.sessions(1), [{ cause: `${first}-reset`, phase: 'relaying' }]);
      await pair.instance.idle();
    });

    t.test(
      `${transport}: the ${first} resets while the other side does not read: passed on all the same`,
      async t => {
        const pair = await relayed(t, transport);
        const other = first === 'client' ? 'backend' : 'client';
        pair[other].pause();
        void send(pair[first], noise(7, 16 * MIB));
        let seen = 0;
        await eventually('a relay that is full', async () => {
          const last = seen;
          seen = await bytesMoved(pair.instance.admin);
          return seen > MIB && last === seen;
        });
        const resetAt = performance.now();
        pair[first].reset();
        t.match(await pair.instance.sessions(1), [{ cause: `${first}-reset`, phase: 'relaying' }]);
        const tookMs = performance.now() - resetAt;
        t.comment(`passed on after ${tookMs.toFixed(0)} ms`);
        t.ok(tookMs < 10_000, 'long before any timeout');
        pair[other].resume();
        t.not(await pair[other].closed, 'self');
        await pair.instance.idle();
      },
    );
  }

  t.test(`${transport}: silence both ways ends a session, a byte either way does not`, async t => {
    const { instance, client, backend } = await relayed(t, transport, { timeouts: { idle: '1500ms' } });
    const startedAt = performance.now();
    while (performance.now() - startedAt < 2_000) {
      await client.write('c');
      await backend.until(/c$/);
      await new Promise(resolve => setTimeout(resolve, 200));
      await backend.write('b');
      await client.until(/b$/);
    }
    t.same([client.closing, backend.closing], ['open', 'open']);
    const silentAt = performance.now();
    await Promise.all([client.expectClosed('fin'), backend.expectClosed('fin')]);
    const waited = performance.now() - silentAt;
    t.comment(`closed after ${waited.toFixed(0)} ms of 1500`);
    t.ok(waited >= 1_400 && waited < 10_000);
    t.match(await instance.sessions(1), [{ cause: 'idle-timeout', phase: 'relaying' }]);
    await instance.idle();
  });
}

/** Bytes that the sessions which are not over have moved. */
async function bytesMoved(admin: Address): Promise<number> {
  const response = await fetch(`http://${formatAddress(admin)}/api/v1/sessions`);
  const { sessions } = (await response.json()) as { sessions: SessionView[] };
  return sessions.reduce((sum, session) => sum + session.bytesFromClient + session.bytesFromBackend, 0);
}
