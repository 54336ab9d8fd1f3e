import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { eventually } from '../support/eventually.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { greet, type Script, silent, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const DEADLINE_MS = 300;
/** A tick of the clock, and a busy machine. */
const LATE_MS = 700;
const QUICK = { timeouts: { handshake: `${DEADLINE_MS}ms` } };

/** Greets, then answers nothing; leaves when the other side does. */
const mute =
  (greeting: string): Script =>
  async connection => {
    await connection.write(greeting);
    await connection.closed;
    connection.end();
  };

for (const transport of TRANSPORTS) {
  for (const [what, words] of [
    ['says nothing', []],
    ['says half a line, byte by byte', [...'EHLO slow']],
  ] as const) {
    t.test(`${transport}: a client that ${what} after the greeting hears 421 at the deadline`, async t => {
      const backend = await startScriptedBackend(t, mute('220 mx.example\r\n'));
      const instance = await startInstance(t, transport, mx([formatAddress(backend.address)], {}, QUICK));
      const from = performance.now();
      const client = await connectClient(t, instance.address());
      await client.expect(220);
      // Bytes do not renew the deadline: each comes when the one before has been passed on.
      for (const [at, octet] of words.entries()) {
        await client.write(octet);
        await eventually('the octet at the backend', () => (backend.connections[0]?.octets ?? 0) > at);
      }
      await client.expect(/^421 4\.4\.2 lb\.example /);
      const tookMs = performance.now() - from;
      await client.expectClosed('fin');
      client.end();
      t.ok(tookMs >= DEADLINE_MS - 1 && tookMs < DEADLINE_MS + LATE_MS, `after ${tookMs} ms`);
      t.match(await instance.sessions(1), [{ cause: 'client-timeout', phase: 'handshaking', backend: 'b1' }]);
      t.equal(backend.connections[0]?.received.toString('latin1'), words.join(''));
      await instance.idle();
      await backend.idle();
      t.comment(`421 after ${tookMs.toFixed(0)} ms`);
    });
  }

  for (const [what, greeting, line] of [
    ['does not answer EHLO', '220 mx.example\r\n', 'EHLO c.example'],
    ['pauses for ever behind 220-', '220-mx.example\r\n', ''],
  ] as const) {
    t.test(
      `${transport}: a backend that ${what} ends the session at the deadline, no reply is made up`,
      async t => {
        const backend = await startScriptedBackend(t, mute(greeting));
        const instance = await startInstance(t, transport, mx([formatAddress(backend.address)], {}, QUICK));
        const client = await connectClient(t, instance.address());
        await client.until(greeting);
        if (line !== '') await client.send(line);
        await client.expectClosed('fin');
        client.end();
        t.equal(client.received.toString('latin1'), greeting);
        t.match(await instance.sessions(1), [
          { cause: 'backend-timeout', phase: 'handshaking', backend: 'b1' },
        ]);
        await instance.idle();
        await backend.idle();
      },
    );
  }

  t.test(`${transport}: all backends together have until the deadline, however many are tried`, async t => {
    const backends = await Promise.all(Array.from({ length: 4 }, () => startScriptedBackend(t, silent)));
    const instance = await startInstance(
      t,
      transport,
      mx(
        backends.map(({ address }) => formatAddress(address)),
        { connect: { greetingTimeout: '200ms', attempts: 4 } },
        QUICK,
      ),
    );
    const from = performance.now();
    const client = await connectClient(t, instance.address());
    await client.expect(/^421 4\.3\.2 lb\.example /);
    const tookMs = performance.now() - from;
    await client.expectClosed('fin');
    client.end();
    t.ok(tookMs >= DEADLINE_MS - 1 && tookMs < DEADLINE_MS + LATE_MS, `after ${tookMs} ms`);
    t.match(await instance.sessions(1), [{ cause: 'backend-timeout', phase: 'connecting' }]);
    await instance.idle();
    for (const { connections } of backends) for (const one of connections) await one.expectClosed('fin');
    t.comment(`421 after ${tookMs.toFixed(0)} ms`);
  });

  for (const how of ['fin', 'rst'] as const) {
    t.test(
      `${transport}: a client that leaves within the handshake (${how}) leaves the backend the same way`,
      async t => {
        const backend = await startScriptedBackend(t, mute('220 mx.example\r\n'));
        const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
        for (const [number, line] of ['', 'EHLO c.example'].entries()) {
          const client = await connectClient(t, instance.address());
          await client.expect(220);
          if (line !== '') await client.send(line);
          const connection = await backend.connection(number);
          await eventually(
            'the line at the backend',
            () => line === '' || connection.octets === line.length + 2,
          );
          if (how === 'fin') client.end();
          else client.reset();
          await connection.expectClosed(how, 1_000);
          const record = (await instance.sessions(number + 1))[number];
          t.match(record, { cause: how === 'fin' ? 'normal' : 'client-reset', backend: 'b1' });
        }
        await instance.idle();
      },
    );
  }

  t.test(
    `${transport}: a client that asks and does not read holds the backend up, not our memory`,
    async t => {
      const reply = `${'250-'.padEnd(500, 'x')}\r\n`;
      const block = Buffer.from(reply.repeat(128));
      const most = 64 * 1024 * 1024;
      let written = 0;
      const backend = await startScriptedBackend(t, async connection => {
        await greet('220 mx.example\r\n')(connection);
        await connection.until('EHLO c.example\r\n');
        while (connection.closing === 'open' && written < most) {
          await connection.write(block);
          written += block.length;
        }
        connection.end();
      });
      const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
      const client = await connectClient(t, instance.address(), { record: 'digest' });
      await eventually('the greeting', () => client.octets > 0);
      client.pause();
      await client.send('EHLO c.example');
      // It is held up when what it has written stays the same over a second session's whole life.
      let before = -1;
      await eventually('a backend that is held up', async () => {
        const now = written;
        await instance.metrics();
        const isSame = now === before && now === written && now > 0;
        before = written;
        return isSame;
      });
      t.ok(written < most / 2, 'the backend waits');
      const heldKiB = written / 1024;
      client.resume();
      await client.expectClosed('fin', 30_000);
      t.equal(client.octets, '220 mx.example\r\n'.length + written, 'all of it arrives');
      client.end();
      await instance.idle();
      t.comment(`${heldKiB.toFixed(0)} KiB were in the kernel and under way`);
    },
  );

  t.test(`${transport}: a hundred hellos are answered a hundred times`, async t => {
    const backend = await startScriptedBackend(t, smtp());
    const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
    const client = await connectClient(t, instance.address());
    await client.expect(220);
    await client.write(Array.from({ length: 100 }, (_, at) => `EHLO c${at}.example\r\n`).join(''));
    for (let count = 0; count < 100; count++) await client.expect(250);
    await client.command('QUIT', 221);
    client.end();
    t.match(await instance.sessions(1), [{ hello: 'EHLO', helloName: 'c99.example', cause: 'normal' }]);
    await instance.idle();
  });
}
