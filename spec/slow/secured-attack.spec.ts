/** Attacks on TLS that take a while, or need the memory of the whole process. */
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { loadOpenSsl } from '../../lib/transport/linux/openssl/load.ts';
import { createAuthority } from '../support/certificates.ts';
import { within } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import { recorder, TRANSPORTS } from '../transport/peers.ts';
import { openServer, openWire, type Server } from '../transport/secured-wire.ts';
import { type Attacker, data, openAttacked, RECORD } from '../transport/tls-attacker.ts';
import { serverOptions, serverSettings } from '../transport/tls-settings.ts';

const MIB = 1_048_576;
/** Milliseconds on a machine that is busy. A reset that nobody hears of is one for ever. */
const NOTICED_MS = 15_000;

for (const name of TRANSPORTS)
  t.test(`${name}: clients that do not read, or are gone`, needs('openssl'), async t => {
    const { begin, world } = await openAttacked(t, name);

    t.test('a client that is gone while its backend takes nothing', async t => {
      const { attacker, accepted } = await begin('TLSv1.3');
      const back = await world.pair();
      back.accepted.connection.pause();
      const over = new Promise(resolve => {
        world.transport.relay(accepted.connection, back.dialled.connection, { onRelayEnd: resolve });
      });
      const record = (): Buffer => data(attacker, 'x'.repeat(16_384));
      let sent = 0;
      for (; attacker.socket.write(record()) || (await room(attacker)); sent += 16_384);
      const resetAtMs = performance.now();
      attacker.socket.resetAndDestroy();
      t.equal(await within('the end of the session', over), 'first-reset');
      const tookMs = performance.now() - resetAtMs;
      t.comment(`noticed after ${tookMs.toFixed(0)} ms, with ${(sent / MIB).toFixed(1)} MiB on the way`);
      t.ok(tookMs < NOTICED_MS, 'long before it would be given up');
      if (name !== 'net')
        t.equal(await back.accepted.told.closed(), 'reset', 'which is told to who is paused as well');
    });

    if (name === 'net') return;
    t.test('who asks to negotiate anew, and reads no answer, is not read either', async t => {
      const { attacker, accepted } = await begin('TLSv1.2');
      attacker.socket.pause();
      const hello = clientHello();
      let [sent, stuck] = [0, false];
      while (!stuck && sent < 64) {
        const burst = Buffer.concat(
          Array.from({ length: 8_000 }, () => attacker.seal(RECORD.HANDSHAKE, hello)),
        );
        sent += burst.length / MIB;
        if (!attacker.socket.write(burst)) stuck = !(await room(attacker));
      }
      t.comment(`not read any more after ${sent.toFixed(1)} MiB`);
      t.ok(stuck, 'it has to wait');
      attacker.socket.resume();
      attacker.socket.write(data(attacker, 'after'));
      await accepted.told.received(5);
      accepted.connection.destroy();
    });
  });

t.test('memory of OpenSSL', needs('openssl'), async t => {
  const openssl = await loadOpenSsl();
  if (typeof openssl === 'string') throw new Error(openssl);
  const authority = await createAuthority(t);
  const settings = serverSettings([await authority.issue({ names: ['mx.example.net'] })]);
  const server = serverOptions(settings);
  const probe = openWire(t, { openssl, handler: recorder(), server });
  await probe.turn();
  const hello = probe.said();
  t.test('sessions that come to nothing give their memory back', async t => {
    const abandon = (count: number): void => {
      for (let at = 0; at < count; at++) {
        const { connection, socket } = openServer({ openssl, handler: recorder(), server });
        socket.peerSends(hello);
        socket.deliver();
        if (at % 2 === 0) connection.destroy();
        else socket.peerCloses('reset');
        socket.deliver();
      }
    };
    const grown = growth(() => abandon(1_500));
    t.comment(`1500 abandoned handshakes: ${grown.toFixed(1)} MiB more`);
    t.ok(grown < 16, "a session of OpenSSL has some 20 KiB, and most of this is the test's own");
  });

  t.test(
    'settings that nobody has any more give their memory back, and harm no session that began with them',
    async t => {
      const begin = (): Server => {
        const own = { ...settings };
        const opened = openServer({
          openssl,
          handler: recorder(),
          server: { ...server, settingsFor: () => own },
        });
        opened.socket.peerSends(hello);
        opened.socket.deliver();
        return opened;
      };
      const told = recorder();
      const own = { settings: { ...settings } as typeof settings | null };
      const settingsFor = () => own.settings ?? settings;
      const wire = openWire(t, { openssl, handler: told, server: { ...server, settingsFor } });
      t.ok(await wire.shakeHands());
      own.settings = null;
      const turns: number[] = [];
      for (let turn = 0; turn < 6; turn++) {
        for (let at = 0; at < 150; at++) begin().connection.destroy();
        collect();
        await new Promise(setImmediate);
        turns.push(process.memoryUsage.rss() / 1_048_576);
      }
      const grown = (turns.at(-1) as number) - (turns[2] as number);
      t.comment(`450 contexts: ${grown.toFixed(1)} MiB more`);
      t.ok(grown < 8, 'one has some 40 KiB');
      wire.client.write('still heard');
      await wire.turn();
      wire.socket.peerSends(wire.said());
      while (wire.socket.deliver());
      t.equal(String(told.bytes), 'still heard');
    },
  );
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Mebibytes that the process has more after doing it once more, when it has been done a few times. */
function growth(deed: () => void): number {
  for (let warm = 0; warm < 2; warm++) deed();
  collect();
  const before = process.memoryUsage.rss();
  deed();
  collect();
  return (process.memoryUsage.rss() - before) / 1_048_576;
}

/** False where there is none for a second. */
async function room({ socket }: Attacker): Promise<boolean> {
  const waited = new AbortController();
  const timer = setTimeout(() => waited.abort(), 1_000);
  try {
    await once(socket, 'drain', { signal: waited.signal });
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

/** One of TLS 1.2 with one cipher suite and no extensions (RFC 5246 section 7.4.1.2). */
function clientHello(): Buffer {
  const body = Buffer.from(`0303${'11'.repeat(32)}000002c02f0100`, 'hex');
  return Buffer.concat([Uint8Array.of(1, 0, 0, body.length), body]);
}
