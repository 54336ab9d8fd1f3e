/** What stands between a transport and a handler once TLS has begun: every order of events that a transport may choose. */
import { randomBytes } from 'node:crypto';
import t from 'tap';
import type { ConnectionHandler } from '../../lib/transport/contract.ts';
import { loadOpenSsl, type OpenSsl } from '../../lib/transport/linux/openssl/load.ts';
import type { TlsServerOptions } from '../../lib/transport/tls-contract.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { createAuthority } from '../support/certificates.ts';
import { needs } from '../support/needs.ts';
import { recorder } from './peers.ts';
import { openWire, type Wire } from './secured-wire.ts';
import { serverOptions, serverSettings } from './tls-settings.ts';

const loaded = await loadOpenSsl();

t.test('TLS between a transport and a handler', needs('openssl'), async t => {
  if (typeof loaded === 'string') throw new Error(loaded);
  const openssl: OpenSsl = loaded;
  const authority = await createAuthority(t);
  const pairs = [
    await authority.issue({ names: ['mx.example.net'] }),
    await authority.issue({ names: ['mx.example.net'], type: 'rsa' }),
  ];
  const settings = serverSettings(pairs);
  const server = serverOptions(settings);
  const open = (handler: ConnectionHandler, options: Partial<TlsServerOptions> = {}, client = {}): Wire =>
    openWire(t, { openssl, handler, server: { ...server, ...options }, client });

  /** Says it inside of TLS; what that is on the wire. */
  const sealed = async (wire: Wire, ...said: readonly (string | Uint8Array | null)[]): Promise<Buffer> => {
    for (const bytes of said) {
      if (bytes === null) wire.client.end();
      else wire.client.write(bytes);
      await wire.turn();
    }
    return wire.said();
  };

  t.test('what came behind a PROXY header is read first, whatever comes meanwhile', async t => {
    const probe = open(recorder());
    await probe.turn();
    const hello = probe.said();
    for (const cut of [1, 5, 100, hello.length - 1]) {
      const told = recorder();
      const wire = open(told, { first: hello.subarray(0, cut) });
      wire.socket.peerSends(hello.subarray(cut));
      while (wire.socket.deliver());
      wire.goOn();
      t.equal(told.fault, undefined, `cut at ${cut}`);
      t.ok(wire.socket.written > 100, 'the server has answered');
    }
  });

  t.test('one that was paused among records, and whose client ends: all of it, then the end', async t => {
    for (const how of ['end', 'end, and ours before'] as const) {
      const told = recorder();
      let atEnd = 0;
      const wire = open({
        ...handing(told),
        onBytes: bytes => pausing(wire, told, bytes),
        onEnd() {
          atEnd = told.bytes.length;
          told.onEnd();
        },
      });
      t.ok(await wire.shakeHands());
      wire.socket.peerSends(await sealed(wire, randomBytes(20_000), 'two', randomBytes(20_000), 'four'));
      while (wire.socket.deliver());
      if (how !== 'end') wire.connection.end();
      for (let rounds = 0; rounds < 20 && !told.events.includes('end'); rounds++) {
        wire.connection.resume();
        // The transport tells of the end before it comes to what was put off.
        if (rounds === 0) wire.socket.peerEnds();
        while (wire.socket.peerReads());
        while (wire.socket.deliver());
        wire.goOn();
      }
      while (wire.socket.deliver());
      t.strictSame([told.bytes.length, atEnd], [40_007, 40_007], how);
      t.equal(String(told.bytes.subarray(-4)), 'four');
      t.strictSame(
        told.events,
        ['secure', 'end', ...(how === 'end' ? [] : ['close ended'])],
        'nothing after it',
      );
    }
  });

  t.test('one whose TLS is broken does no harm to another of the thread', async t => {
    const told = recorder();
    const paused = open({ ...handing(told), onBytes: bytes => pausing(paused, told, bytes) });
    t.ok(await paused.shakeHands());
    paused.socket.peerSends(await sealed(paused, randomBytes(20_000), 'two'));
    while (paused.socket.deliver());
    const broken = recorder();
    const other = open(broken);
    t.ok(await other.shakeHands());
    other.socket.peerSends(Buffer.from('MAIL FROM:<a@example.org>\r\n'));
    while (paused.connection && other.socket.deliver());
    t.strictSame(broken.events, ['secure', 'close reset']);
    for (let rounds = 0; rounds < 5; rounds++) {
      paused.connection.resume();
      paused.goOn();
    }
    t.strictSame(told.events, ['secure']);
    t.equal(String(told.bytes.subarray(-3)), 'two');
  });

  t.test('every cut, pause and order', async t => {
    const seed = seedOfRun();
    t.comment(`seed ${seed}`);
    const { below, pick } = randomFrom(seed);
    for (let round = 0; round < 24; round++) {
      const told = recorder();
      const up: Buffer[] = [];
      const down: Buffer[] = [];
      const heard: Buffer[] = [];
      const wire = open(
        {
          ...handing(told),
          onBytes(bytes) {
            told.onBytes(bytes);
            if (below(3) === 0) wire.connection.pause();
            if (below(4) === 0) wire.connection.resume();
          },
        },
        {},
        round % 2 === 0
          ? {
              maxVersion: 'TLSv1.2',
              ciphers: below(2) === 0 ? 'ECDHE-RSA-AES128-GCM-SHA256' : 'ECDHE-ECDSA-CHACHA20-POLY1305',
            }
          : {},
      );
      wire.client.on('data', bytes => heard.push(bytes));
      const whole = below(3) === 0;
      let rest = Buffer.alloc(0);
      let ended = false;
      for (let step = 0; !told.events.includes('end') && step < 3_000; step++) {
        await wire.turn();
        rest = Buffer.concat([rest, wire.said()]);
        const cuts = whole ? 1 : 1 + below(4);
        for (let cut = 0; cut < cuts && rest.length > 0; cut++) {
          const octets = whole ? rest.length : 1 + below(pick([2, 30, 600, 40_000]));
          wire.socket.peerSends(Uint8Array.from(rest.subarray(0, octets)));
          rest = rest.subarray(octets);
        }
        while (below(10) > 0 && wire.socket.deliver());
        if (below(2) === 0) wire.goOn();
        if (below(2) === 0) wire.connection.resume();
        if (!told.events.includes('secure')) continue;
        if (up.length < 8 && !ended) {
          const bytes = randomBytes(pick([0, 1, 700, 16_384, 16_385, 40_000]));
          up.push(bytes);
          wire.client.write(bytes);
        } else if (!ended) {
          ended = true;
          wire.client.end();
        }
        if (down.length < 8 && below(2) === 0) {
          const bytes = randomBytes(pick([0, 1, 700, 16_384, 16_385, 40_000]));
          down.push(bytes);
          wire.connection.write(bytes);
        }
      }
      wire.connection.end();
      await wire.turn();
      await wire.turn();
      const problem = `seed ${seed}, round ${round}`;
      if (!told.bytes.equals(Buffer.concat(up))) t.fail(`${problem}: the client's bytes`);
      if (!Buffer.concat(heard).equals(Buffer.concat(down))) t.fail(`${problem}: the server's bytes`);
      if (String(told.events.filter(event => event !== 'drain')) !== 'secure,end')
        t.fail(`${problem}: ${told.events}`);
      if (wire.faults.length > 0) t.fail(`${problem}: ${wire.faults}`);
      wire.connection.destroy();
    }
    t.pass('all rounds');
  });

  t.test('a handler may do anything at any moment', async t => {
    const deeds = ['destroy', 'reset', 'pause', 'end', 'throw', 'resume'] as const;
    const moments = ['onSecure', 'onBytes', 'onEnd', 'onDrain', 'onClose'] as const;
    for (const moment of moments)
      for (const deed of deeds) {
        const told = recorder();
        let done = 0;
        const doing = (call: () => void): void => {
          call();
          if (done++ > 0) return;
          if (deed === 'throw') throw new Error('a fault of ours');
          wire.connection[deed]();
        };
        const wire = open({
          ...handing(told),
          [moment]: (...args: readonly never[]) =>
            doing(() => (told[moment] as (...args: readonly never[]) => void)(...args)),
        } as ConnectionHandler);
        await wire.shakeHands();
        wire.socket.peerSends(await sealed(wire, randomBytes(30_000), 'two', null));
        while (wire.socket.deliver());
        wire.connection.write(randomBytes(5_000));
        await wire.turn();
        wire.goOn();
        while (wire.socket.deliver());
        wire.socket.peerCloses('reset');
        while (wire.socket.deliver());
        wire.goOn();
        const { events } = told;
        const what = `${deed} in ${moment}: ${events}`;
        t.ok(events.filter(event => event.startsWith('close')).length <= 1, what);
        t.equal(wire.faults.length, deed === 'throw' ? 1 : 0, what);
        if (deed === 'destroy' && moment !== 'onClose') t.notMatch(events.at(-1), /close/, what);
        if (deed === 'throw' && moment !== 'onClose') t.equal(events.at(-1), 'close failed', what);
      }
  });
});

/** A handler that only tells what it is told. */
function handing(told: ConnectionHandler): ConnectionHandler {
  return {
    onConnect: () => told.onConnect(),
    onBytes: bytes => told.onBytes(bytes),
    onEnd: () => told.onEnd(),
    onDrain: () => told.onDrain(),
    onSecure: info => told.onSecure?.(info),
    onClose: (reason, fault) => told.onClose(reason, fault),
  };
}

function pausing(wire: Wire, told: ConnectionHandler, bytes: Uint8Array): void {
  told.onBytes(bytes);
  wire.connection.pause();
}
