import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { REPLY_OCTETS } from '../../lib/core/limits.ts';
import { eventually } from '../support/eventually.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { greet, type Script, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { deliverOne, greetings, ONE_MESSAGE } from './dialogue.ts';

/** What loopback may take before anybody has read a byte: both sockets' buffers, and one read. */
const IN_THE_KERNEL = 8 * 1024 * 1024;
/** Far more than that. */
const MOST = 64 * 1024 * 1024;

/** Repeats `text` as fast as it is taken, up to `MOST` octets, until the far end leaves; tells how much was taken. */
function endless(first: string, text: string, taken: number[]): Script {
  const block = Buffer.from(text.repeat(Math.ceil(65_536 / text.length)), 'latin1');
  return async connection => {
    let octets = 0;
    await connection.write(first);
    while (connection.closing === 'open' && octets < MOST) {
      await connection.write(block);
      octets += block.length;
    }
    taken.push(octets);
    await connection.closed;
    connection.end();
  };
}

const BAD_GREETINGS = [
  ['513 octets and CRLF', `220 ${'x'.repeat(507)}\r\n`],
  ['NUL', '220 m\0x\r\n'],
  ['bare LF', '220 mx\n'],
  ['bare LF on the second line, in the same segment', '220-mx\r\n220 mx\n'],
  ['code that changes, in the same segment', '220-mx\r\n221 mx\r\n'],
  ['HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  ['SSH', 'SSH-2.0-OpenSSH_9.2p1\r\n'],
  ['TLS alert', '\x15\x03\x03\x00\x02\x02\x46'],
  ['250', '250 mx\r\n'],
] as const;

for (const transport of TRANSPORTS) {
  t.test(`${transport}: a backend whose greeting is no greeting is left, and ejected`, async t => {
    const scenes = await Promise.all(
      BAD_GREETINGS.map(async ([what, text], at) => ({
        what,
        pool: `p${at}`,
        bad: await startScriptedBackend(t, greet(text)),
        good: await startScriptedBackend(t, smtp()),
      })),
    );
    const instance = await startInstance(t, transport, {
      listeners: scenes.map(({ pool }) => ({ name: pool, pool })),
      pools: scenes.map(({ pool, bad, good }) => ({
        name: pool,
        passiveHealth: { failures: 2, pause: '1m', maxPause: '1m' },
        backends: [
          { name: 'b1', address: formatAddress(bad.address) },
          { name: 'b2', address: formatAddress(good.address), backup: true },
        ],
      })),
    });
    for (const [at, { what, pool, bad, good }] of scenes.entries())
      await t.test(what, async t => {
        for (let count = 1; count <= 3; count++) {
          const client = await connectClient(t, instance.address(pool));
          await deliverOne(client);
          t.equal(greetings(client), 1);
          t.match(client.received.toString('latin1'), /^220 backend\.example ESMTP\r\n/);
        }
        t.equal(bad.connections.length, 2, 'two failures eject it');
        t.ok(good.connections.every(one => one.received.toString('latin1') === ONE_MESSAGE));
        for (const record of (await instance.sessions(3 * at + 3)).slice(3 * at, 3 * at + 2)) {
          t.match(record, { pool, backend: 'b2', retries: [{ backend: 'b1', fault: 'bad-greeting' }] });
        }
        const metrics = await instance.metrics();
        const failures = { pool, backend: 'b1', reason: 'bad-greeting' };
        t.equal(metrics.value('smtplb_backend_failures_total', failures), 2);
        t.equal(metrics.value('smtplb_backend_ejected', { pool, backend: 'b1' }), 1);
        await instance.idle();
      });
  });

  for (const [what, first, text] of [
    ['without CRLF', '220 ', 'x'],
    ['of NULs', '220 ', '\0'],
    ['of 220- lines', '', '220-more\r\n'],
    ['of 220- lines of 512 octets', '', `220-${'y'.repeat(506)}\r\n`],
  ] as const) {
    t.test(
      `${transport}: a greeting without end, ${what}, is a bad greeting and costs no memory`,
      async t => {
        const taken: number[] = [];
        const bad = await startScriptedBackend(t, endless(first, text, taken));
        const good = await startScriptedBackend(t, smtp());
        const instance = await startInstance(
          t,
          transport,
          mx([formatAddress(bad.address), { address: formatAddress(good.address), backup: true }], {
            passiveHealth: { failures: 5, pause: '1m', maxPause: '1m' },
          }),
        );
        for (let count = 1; count <= 5; count++) {
          const client = await connectClient(t, instance.address());
          // Where its first lines came alone they were passed on; then the rest must end the session.
          const served = await client.until(/^220 backend\.example ESMTP\r\n/).then(
            () => true,
            () => false,
          );
          if (served) {
            t.equal(client.octets, '220 backend.example ESMTP\r\n'.length);
            await client.command('QUIT', 221);
          } else t.ok(client.octets <= REPLY_OCTETS, `${client.octets} octets reached the client`);
          client.end();
        }
        await eventually('the backend to be told', () => taken.length === 5);
        t.ok(Math.max(...taken) < IN_THE_KERNEL, 'it was not read on and on');
        const metrics = await instance.metrics();
        t.equal(metrics.value('smtplb_backend_failures_total', { backend: 'b1', reason: 'bad-greeting' }), 5);
        t.equal(metrics.value('smtplb_backend_ejected', { backend: 'b1' }), 1, 'ejected');
        await instance.idle();
        await bad.idle();
        t.comment(`the backend got rid of ${taken.map(octets => `${octets / 1024} KiB`).join(', ')}`);
      },
    );
  }

  t.test(
    `${transport}: a backend that pauses behind 220-: the line is there at once, early words get through`,
    async t => {
      const pausing = await startScriptedBackend(t, async connection => {
        await connection.write('220-pausing.example ESMTP\r\n');
        await connection.until('EHLO early\r\n');
        await connection.writePieces(['220 pausing', '.example ESMTP\r\n', '250 pausing.example\r\n']);
        await connection.until('QUIT\r\n');
        await connection.write('221 bye\r\n');
        connection.end();
      });
      const instance = await startInstance(t, transport, mx([formatAddress(pausing.address)]));
      const from = performance.now();
      const client = await connectClient(t, instance.address());
      await client.until('220-pausing.example ESMTP\r\n');
      const firstLineMs = performance.now() - from;
      t.equal(client.pending(), '');
      // The backend says no more until it has heard the client: what waited for the greeting's end would wait for ever.
      await client.send('EHLO early');
      await client.until('220 pausing.example ESMTP\r\n');
      await client.expect(/^250 pausing/);
      await client.command('QUIT', 221);
      client.end();
      const [record] = await instance.sessions(1);
      t.match(record, { cause: 'normal', greetingCode: 220, hello: 'EHLO', helloName: 'early', retries: [] });
      t.comment(`first line after ${firstLineMs.toFixed(1)} ms`);
      await instance.idle();
    },
  );

  t.test(`${transport}: a greeting in pieces becomes a session when its first line is whole`, async t => {
    const slow = await startScriptedBackend(t, async connection => {
      await connection.writePieces([...'220-mx.example\r\n', ...'220 mx.example\r\n']);
      await connection.until('QUIT\r\n');
      connection.end();
    });
    const instance = await startInstance(t, transport, mx([formatAddress(slow.address)]));
    const client = await connectClient(t, instance.address());
    t.equal((await client.reply()).raw, '220-mx.example\r\n220 mx.example\r\n');
    await client.send('QUIT');
    client.end();
    t.match(await instance.sessions(1), [{ cause: 'normal', retries: [], greetingCode: 220 }]);
    await instance.idle();
  });

  t.test(
    `${transport}: a greeting that goes on for ever, line by line, ends the session and counts`,
    async t => {
      const line = `220-${'z'.repeat(506)}\r\n`;
      let passOn = (): void => {};
      const passedOn = new Promise<void>(resolve => {
        passOn = resolve;
      });
      const bad = await startScriptedBackend(t, async connection => {
        await connection.write(line);
        // All at once, it would be found out before a line of it is passed on.
        await passedOn;
        while (connection.closing === 'open') await connection.writePieces([line, line]);
        connection.end();
      });
      const instance = await startInstance(t, transport, mx([formatAddress(bad.address)]));
      const client = await connectClient(t, instance.address());
      await client.until(line);
      passOn();
      await client.expectClosed('fin');
      client.end();
      t.ok(client.octets <= REPLY_OCTETS, `${client.octets} octets reached the client`);
      t.match(await instance.sessions(1), [
        { cause: 'backend-protocol', phase: 'handshaking', backend: 'b1' },
      ]);
      const metrics = await instance.metrics();
      t.equal(metrics.value('smtplb_backend_failures_total', { backend: 'b1', reason: 'bad-greeting' }), 1);
      await instance.idle();
      await bad.idle();
      t.comment(`${client.octets} octets of it reached the client`);
    },
  );

  t.test(
    `${transport}: a backend that refuses the client within its greeting, as postscreen does, is heard`,
    async t => {
      for (const apart of [true, false]) {
        const refusing = await startScriptedBackend(t, async connection => {
          const pieces = ['220-postscreen.example ESMTP\r\n', '521 5.7.1 Service unavailable; blocked\r\n'];
          await connection.write(apart ? (pieces[0] as string) : pieces.join(''));
          if (apart) {
            await connection.until('EHLO early\r\n');
            await connection.write(pieces[1] as string);
          }
          connection.end();
        });
        const good = await startScriptedBackend(t, smtp());
        const backends = [
          formatAddress(refusing.address),
          { address: formatAddress(good.address), backup: true },
        ];
        const instance = await startInstance(t, transport, mx(backends));
        const client = await connectClient(t, instance.address());
        await client.until('220-postscreen.example ESMTP\r\n');
        if (apart) await client.send('EHLO early');
        await client.expect(521);
        await client.expectClosed('fin');
        client.end();
        t.match(await instance.sessions(1), [
          { cause: 'normal', backend: 'b1', retries: [], greetingCode: 521 },
        ]);
        t.equal(good.connections.length, 0);
        t.equal(
          (await instance.metrics()).sum('smtplb_backend_failures_total'),
          0,
          'the client is blamed, not it',
        );
        await instance.idle();
      }
    },
  );
}
