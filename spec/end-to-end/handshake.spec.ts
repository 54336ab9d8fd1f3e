import t, { type Test } from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { eventually } from '../support/eventually.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import {
  greet,
  type Script,
  type ScriptedBackend,
  silent,
  smtp,
  startScriptedBackend,
} from '../support/scripted-backend.ts';
import { connectClient, type SmtpClient } from '../support/smtp-client.ts';

/** Long enough to be greeted on a busy machine. */
const DEADLINE_MS = 1_000;
const QUICK = { timeouts: { handshake: `${DEADLINE_MS}ms` } };
/** Between two octets of a slow client. */
const PACE_MS = 20;

/** Greets, then answers nothing; leaves when the other side does. */
const mute =
  (greeting: string): Script =>
  async connection => {
    await connection.write(greeting);
    await connection.closed;
    connection.end();
  };

for (const transport of TRANSPORTS) {
  t.test(`${transport}: who keeps the handshake waiting is ended at the deadline`, async t => {
    const backends = await Promise.all(
      ['220 mx.example\r\n', '220-mx.example\r\n'].map(greeting => startScriptedBackend(t, mute(greeting))),
    );
    const [whole, begun] = backends as [ScriptedBackend, ScriptedBackend];
    const silents = await Promise.all(Array.from({ length: 4 }, () => startScriptedBackend(t, silent)));
    const pool = (name: string, of: readonly ScriptedBackend[], connect = {}) => ({
      name,
      connect,
      backends: of.map(({ address }, at) => ({ name: `b${at + 1}`, address: formatAddress(address) })),
    });
    const pools = [
      pool('whole', [whole]),
      pool('begun', [begun]),
      // Each of them may take so long, and four of them take longer than all may.
      pool('silent', silents, { greetingTimeout: `${0.7 * DEADLINE_MS}ms`, attempts: 4 }),
    ];
    const names = ['mute', 'slow', 'unanswered', 'pausing', 'trying'];
    const poolOf: Readonly<Record<string, string>> = { pausing: 'begun', trying: 'silent' };
    const instance = await startInstance(t, transport, {
      listeners: names.map(name => ({ name, pool: poolOf[name] ?? 'whole', ...QUICK })),
      pools,
    });
    /** The backend's connection of the session that says this. */
    const heard = (words: string) =>
      whole.connections.find(({ received }) => received.toString('latin1').startsWith(words));
    t.jobs = names.length;
    const timed = (name: string, play: (t: Test, client: SmtpClient) => Promise<void>, record: object) =>
      void t.test(name, async t => {
        const from = performance.now();
        const client = await connectClient(t, instance.address(name));
        await play(t, client);
        await client.expectClosed('fin');
        const tookMs = performance.now() - from;
        client.end();
        t.ok(tookMs >= DEADLINE_MS - 1, `ended after ${tookMs.toFixed(0)} ms`);
        t.match(await instance.sessionAt(name), record);
      });

    const late = { cause: 'client-timeout', phase: 'handshaking', backend: 'b1' };
    timed(
      'mute',
      async (_, client) => {
        await client.expect(220);
        await client.expect(/^421 4\.4\.2 lb\.example /);
      },
      late,
    );
    // Octets do not renew the deadline: more of them come than fit into it.
    timed(
      'slow',
      async (t, client) => {
        await client.expect(220);
        let said = 'EHLO ';
        await client.write(said);
        for (; client.pending() === '' && said.length < 400; said += 'x') {
          await client.write('x');
          await Promise.race([client.closed, new Promise(resolve => setTimeout(resolve, PACE_MS))]);
        }
        await client.expect(/^421 4\.4\.2 lb\.example /);
        t.ok(said.length < 400, `421 came while it was speaking: ${said.length} octets`);
        t.ok(heard('EHLO x'), 'which the backend has heard');
      },
      late,
    );
    timed(
      'unanswered',
      async (t, client) => {
        await client.expect(220);
        await client.send('EHLO c.example');
        await client.closed;
        t.equal(client.pending(), '', 'no reply is made up');
      },
      { ...late, cause: 'backend-timeout' },
    );
    timed(
      'pausing',
      async (t, client) => {
        await client.until('220-mx.example\r\n');
        await client.closed;
        t.equal(client.pending(), '', 'no reply is made up');
      },
      { ...late, cause: 'backend-timeout' },
    );
    timed(
      'trying',
      async (t, client) => {
        await client.expect(/^421 4\.3\.2 lb\.example /);
        const tried = silents.filter(({ connections }) => connections.length > 0).length;
        t.ok(tried < silents.length, `${tried} were tried, and there was no time for all`);
      },
      { cause: 'backend-timeout', phase: 'connecting' },
    );
    t.teardown(async () => {
      await instance.idle();
      for (const backend of backends) await backend.idle();
      for (const { connections } of silents) for (const one of connections) await one.expectClosed('fin');
    });
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
          await connection.expectClosed(how);
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
