import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { EARLY_CLIENT_OCTETS } from '../../lib/core/limits.ts';
import { eventually } from '../support/eventually.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import { run } from '../support/processes.ts';
import { echo, silent, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

for (const transport of TRANSPORTS) {
  t.test(
    `${transport}: what a client says before its greeting is held, and arrives in order behind it`,
    async t => {
      const backend = await startScriptedBackend(t, async connection => {
        await connection.until('PROXY TCP4 127.0.0.1 ');
        await connection.until('\r\n');
        t.equal(connection.octets, connection.received.indexOf('\r\n') + 2, 'nothing of the client yet');
        await connection.write('220 held.example\r\n');
        await connection.until('QUIT\r\n');
        await connection.write('250 held.example\r\n221 bye\r\n');
        connection.end();
      });
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(backend.address)], { identity: 'proxy-v1' }),
      );
      const client = await connectClient(t, instance.address());
      await client.writePieces(['EHL', 'O early', '.example\r', '\nQU', 'IT\r\n']);
      await client.expectClosed('fin');
      client.end();
      t.equal(client.received.toString('latin1'), '220 held.example\r\n250 held.example\r\n221 bye\r\n');
      const heard = backend.connections[0]?.received.toString('latin1') ?? '';
      t.equal(heard.slice(heard.indexOf('\r\n') + 2), 'EHLO early.example\r\nQUIT\r\n');
      t.match(await instance.sessions(1), [{ hello: 'EHLO', helloName: 'early.example', cause: 'normal' }]);
      await instance.idle();
    },
  );

  t.test(`${transport}: a client that floods before its greeting is held up, and loses nothing`, async t => {
    let greetNow = () => {};
    const mayGreet = new Promise<void>(resolve => {
      greetNow = resolve;
    });
    const backend = await startScriptedBackend(t, [
      async connection => {
        await mayGreet;
        await echo('220 late.example\r\n')(connection);
      },
      async connection => {
        await connection.write('220 prompt.example\r\n');
        await connection.closed;
        connection.end();
      },
    ]);
    const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
    const client = await connectClient(t, instance.address());
    const block = Buffer.from(Array.from({ length: 1_000_000 }, (_, at) => (at * 7 + (at >> 8)) & 0xff));
    const flood = Buffer.concat([
      Buffer.from('EHLO flood.example\r\n'),
      ...Array.from({ length: 16 }, () => block),
    ]);
    let taken = false;
    const writing = client.write(flood).then(() => {
      taken = true;
    });
    await backend.connection(0);
    // Beside it, a session of the same size from greeting to end: by then the first were read too, if it were read.
    const other = await connectClient(t, instance.address());
    await other.expect(220);
    await other.write(flood);
    other.end();
    await other.expectClosed('fin');
    t.equal(backend.connections[1]?.octets, flood.length);
    t.equal(taken, false, 'the kernel is full: the client is held up');
    client.end(); // behind all of it
    greetNow();
    await writing;
    await client.expectClosed('fin');
    t.equal(backend.connections[0]?.octets, flood.length);
    t.ok(backend.connections[0]?.received.equals(flood), 'every octet, in order');
    t.equal(client.octets, '220 late.example\r\n'.length + flood.length, 'and all of it came back');
    await instance.idle();
    t.comment(`${flood.length} octets before the greeting, held back beyond ${EARLY_CLIENT_OCTETS}`);
  });

  t.test(`${transport}: a client that is held up and vanishes leaves nothing behind`, async t => {
    for (const [what, script, cause, greetingTimeout] of [
      ['the backend greets', smtp(), 'client-reset', '30s'],
      // A transport may learn of the reset only when it reads again.
      ['it is silent', silent, /^(?:client-reset|backend-timeout)$/, '300ms'],
    ] as const) {
      let goOn = () => {};
      const mayGoOn = new Promise<void>(resolve => {
        goOn = resolve;
      });
      const backend = await startScriptedBackend(t, async connection => {
        await mayGoOn;
        await script(connection);
      });
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(backend.address)], { connect: { greetingTimeout } }),
      );
      const client = await connectClient(t, instance.address());
      await client.write(`EHLO flood.example\r\n${'x'.repeat(EARLY_CLIENT_OCTETS)}`);
      await backend.connection(0);
      client.reset();
      goOn();
      t.match(await instance.sessions(1), [{ cause }], `${what}: ${cause}`);
      await instance.idle();
      await eventually('the backend to be left', () => backend.connections[0]?.closing !== 'open');
    }
  });

  t.test(`${transport}: a client that says all it has and half-closes gets all replies`, async t => {
    for (const when of ['before the greeting', 'after the greeting']) {
      const backend = await startScriptedBackend(t, smtp());
      const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
      const client = await connectClient(t, instance.address());
      if (when === 'after the greeting') await client.expect(220);
      await client.write('EHLO x\r\nQUIT\r\n');
      client.end();
      await client.expectClosed('fin');
      t.match(
        client.received.toString('latin1'),
        /^220 backend\.example ESMTP\r\n250-backend[\s\S]*250 8BITMIME\r\n221 2\.0\.0 backend\.example\r\n$/,
        when,
      );
      t.match(await instance.sessions(1), [
        { cause: 'normal', hello: 'EHLO', helloName: 'x', bytesFromClient: 14 },
      ]);
      await instance.idle();
    }
  });

  t.test(`${transport}: printf | nc, as in a shell`, needs('nc', 'sh'), async t => {
    const backend = await startScriptedBackend(t, smtp());
    const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
    const address = instance.address();
    const port = address.family === 'unix' ? '' : `${address.port}`;
    const script = `printf 'EHLO x\\r\\nQUIT\\r\\n' | nc -N 127.0.0.1 ${port} || printf 'EHLO x\\r\\nQUIT\\r\\n' | nc -q 5 127.0.0.1 ${port}`;
    const { stdout } = await run(t, 'sh', ['-c', script]);
    t.match(stdout, /220 backend\.example ESMTP\r\n250-[\s\S]*221 2\.0\.0 backend\.example\r\n/);
    await instance.idle();
  });

  t.test(`${transport}: a port probe troubles nobody for long`, async t => {
    const backend = await startScriptedBackend(t, silent);
    // With `net` in a thread of its own it may be gone before anybody knows who it was, and then it makes no record.
    const settings = { ...mx([formatAddress(backend.address)]), shards: 1 };
    const instance = await startInstance(t, transport, settings);
    for (let count = 0; count < 20; count++) {
      const probe = await connectClient(t, instance.address());
      if (count % 2 === 0) probe.end();
      else probe.reset();
    }
    const records = await instance.sessions(20);
    t.ok(records.every(record => record['phase'] === 'connecting'));
    t.match(
      [...new Set(records.map(record => record['cause']))].sort(),
      ['client-closed', 'client-reset'],
      'none of them blames the backend',
    );
    await eventually('the backend to be left', () =>
      backend.connections.every(one => one.closing !== 'open'),
    );
    t.ok(backend.connections.every(one => one.octets === 0));
    const metrics = await instance.metrics();
    t.equal(metrics.sum('smtplb_backend_failures_total'), 0);
    await instance.idle();
    t.comment(`20 probes, ${backend.connections.length} connections to the backend, all over`);
  });

  t.test(
    `${transport}: a client that leaves after a word, before its greeting, is let go with the session`,
    async t => {
      let greetNow = () => {};
      const mayGreet = new Promise<void>(resolve => {
        greetNow = resolve;
      });
      const backend = await startScriptedBackend(t, async connection => {
        await mayGreet;
        await smtp()(connection);
      });
      const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
      const client = await connectClient(t, instance.address());
      await client.send('EHLO gone.example');
      await backend.connection(0);
      client.reset();
      const [record] = await instance.sessions(1);
      t.match(record, { cause: 'client-reset', phase: 'connecting' });
      greetNow();
      t.equal(backend.connections[0]?.octets, 0, 'nothing of it reached the backend');
      await instance.idle();
    },
  );
}
