/** STARTTLS routed by the server name, and what clients and backends may do wrong on the way. */
import t from 'tap';
import { readClientHello } from '../../lib/tls/client-hello.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { within } from '../support/eventually.ts';
import { startInstance, TRANSPORTS } from '../support/instance.ts';
import { greet, type Script, silent, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { clientHello, expectAlert, flightOf, opens, promised, recordOf, settings, tenant } from './routed.ts';

for (const transport of TRANSPORTS) {
  t.test(`${transport}: bytes behind STARTTLS end the session, TLS or not`, async t => {
    const { instance, backend, others } = await tenant(t, transport, opens());
    const hello = await clientHello(t, 'a.example');
    const behind: readonly (readonly [string, string | Uint8Array])[] = [
      ['a command', 'EHLO a\r\nSTARTTLS\r\nMAIL FROM:<x@y.example>\r\n'],
      ['one octet', 'STARTTLS\r\n\x16'],
      ['a ClientHello', Buffer.concat([Buffer.from('EHLO a\r\nSTARTTLS\r\n'), hello])],
    ];
    for (const [at, [what, bytes]] of behind.entries()) {
      const client = await connectClient(t, instance.address());
      await client.expect(220);
      await client.write(bytes);
      t.match(await within('the end', client.closed), /fin|rst/, what);
      t.notMatch(client.received.toString('latin1'), /^220 2/m, 'TLS is not promised');
      client.end();
      t.match(await recordOf(instance, at), { cause: 'tls-injection', termination: 'JN', backend: null });
    }
    t.equal(backend.connections.length + others.connections.length, 0);
    const metrics = await instance.metrics();
    t.equal(metrics.value('smtplb_client_hello_faults_total', { reason: 'injection' }), behind.length);
    await instance.idle();
  });

  t.test(`${transport}: what is no ClientHello ends the session without a line of SMTP`, async t => {
    const { instance, backend, others } = await tenant(t, transport, opens());
    const seed = seedOfRun();
    const random = randomFrom(seed);
    const hello = await clientHello(t, 'a.example');
    const wrong: (readonly [string, Uint8Array])[] = [
      ['SMTP', Buffer.from('EHLO a\r\n')],
      ['a record of another kind', Buffer.from('\x15\x03\x01\x00\x02\x02\x28', 'latin1')],
      ['no end in sight', Buffer.concat([Buffer.from('\x16\x03\x01\x40\x00\x01\xff\xff\xff', 'latin1')])],
    ];
    for (const [at, [what, bytes]] of wrong.entries()) {
      const client = await promised(t, instance);
      await client.write(bytes);
      t.ok(await expectAlert(client), `${what}: ${JSON.stringify(client.pending())}`);
      client.end();
      t.match(await recordOf(instance, at), { cause: 'client-hello', termination: 'hN' }, what);
    }
    // Octets changed at random: a backend hears them as they were, or nobody does.
    for (let round = 0; round < 16; round++) {
      const bytes = Uint8Array.from(hello);
      for (let times = 0; times <= random.below(4); times++) bytes[random.below(120)] = random.below(256);
      const { status } = readClientHello(bytes);
      const before = backend.connections.length + others.connections.length;
      const client = await promised(t, instance);
      await client.write(bytes);
      if (status === 'complete') await client.until(/the handshake|others/);
      else if (status === 'incomplete') client.end();
      if (status === 'complete') client.reset();
      else await within('the end', client.closed);
      client.end();
      const record = await recordOf(instance, wrong.length + round);
      const expected = { complete: 'relaying', incomplete: 'routing', invalid: 'routing' }[status];
      t.equal(record?.['phase'], expected, `seed ${seed}, round ${round}: ${status}`);
      const reached = [...backend.connections, ...others.connections].length - before;
      t.equal(reached, status === 'complete' ? 1 : 0);
    }
    await instance.idle();
  });

  t.test(`${transport}: who stalls or leaves within STARTTLS is ended and counted`, async t => {
    const { instance } = await tenant(t, transport, opens(), { listener: { timeouts: { handshake: '2s' } } });
    const hello = await clientHello(t, 'a.example');
    const mute = await connectClient(t, instance.address());
    await mute.expect(220);
    const stalled = await promised(t, instance);
    await stalled.write(hello.subarray(0, 50));
    await mute.expect(/^421 4\.4\.2 /);
    t.ok(await expectAlert(stalled));
    for (const client of [mute, stalled]) client.end();
    for (const at of [0, 1])
      t.match(await recordOf(instance, at), { cause: 'client-timeout', termination: 'tN' });
    const gone = await promised(t, instance);
    await gone.write(hello.subarray(0, 50));
    gone.end();
    await within('the end', gone.closed);
    t.match(await recordOf(instance, 2), { cause: 'client-closed', routing: { fault: /left before/ } });
    const talker = await connectClient(t, instance.address());
    await talker.expect(220);
    await talker.write('NOOP\r\n'.repeat(101));
    await talker.until(/421 4\.7\.0 [^\n]*\n/);
    talker.end();
    t.match(await recordOf(instance, 3), { cause: 'client-hello', termination: 'hN' });
    const metrics = await instance.metrics();
    const faults = (reason: string) => metrics.value('smtplb_client_hello_faults_total', { reason });
    t.equal(faults('timeout'), 1);
    t.equal(faults('closed'), 1);
    await instance.idle();
  });

  t.test(`${transport}: a backend that will not do is left for another, unseen`, async t => {
    const reply =
      (...lines: readonly string[]): Script =>
      async connection => {
        for (const line of lines) {
          await connection.write(line);
          await connection.until('\r\n');
        }
      };
    const greeting = '220 x ESMTP\r\n';
    const offers = '250-x\r\n250 STARTTLS\r\n';
    const bad: readonly (readonly [string, Script, string])[] = [
      ['no STARTTLS', smtp(), 'starttls-refused'],
      ['a refused STARTTLS', reply(greeting, offers, '454 4.7.0 not now\r\n'), 'starttls-refused'],
      ['a refused EHLO', reply(greeting, '502 5.5.1 no\r\n'), 'starttls-refused'],
      [
        'plaintext behind the 220',
        reply(greeting, offers, '220 go\r\n250 injected\r\n'),
        'starttls-injection',
      ],
      ['an answer before the question', reply(`${greeting}${offers}`), 'bad-greeting'],
      ['a refusal', greet('421 4.3.2 full\r\n'), 'busy-greeting'],
      ['nonsense', greet('HTTP/1.0 400\r\n'), 'bad-greeting'],
      ['silence', silent, 'greeting-timeout'],
      ['a close', connection => connection.end(), 'closed-early'],
    ];
    const right = await startScriptedBackend(t, opens());
    const tenants = await Promise.all(
      bad.map(async ([, script], at) => ({
        names: [`t${at}.example`],
        backends: [await startScriptedBackend(t, script), right],
      })),
    );
    const pool = { connect: { greetingTimeout: '1s' } };
    const instance = await startInstance(t, transport, settings([right], tenants, { pool }));
    for (const [at, [what, , fault]] of bad.entries()) {
      const hello = await clientHello(t, `t${at}.example`);
      const client = await promised(t, instance);
      await client.write(hello);
      await client.until('the handshake');
      t.equal(client.pending(), '', what);
      t.ok(flightOf(await right.connection(at)).equals(hello), `${what}: untouched`);
      client.reset();
      t.match(await recordOf(instance, at), { backend: 'b2', retries: [{ backend: 'b1', fault }] }, what);
      const wrong = await tenants[at]?.backends[0]?.connection();
      t.notOk(wrong?.received.includes(hello.subarray(0, 3)), `${what}: heard nothing`);
    }
    await instance.idle();
  });

  t.test(`${transport}: when no backend is left there is an alert, and no SMTP`, async t => {
    const { instance } = await tenant(t, transport, smtp());
    const client = await promised(t, instance);
    await client.write(await clientHello(t, 'a.example'));
    t.ok(await expectAlert(client));
    client.end();
    t.match(await recordOf(instance), {
      cause: 'backend-tls',
      phase: 'connecting',
      pool: 'tenant1',
      backend: 'b1',
      routing: { serverName: 'a.example', by: 'name' },
    });
    await instance.idle();
  });
}
