/** STARTTLS passed through, routed by the server name: many tenants on one address, and no key at the edge. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { EARLY_CLIENT_OCTETS } from '../../lib/core/limits.ts';
import { randomFrom, seedOfRun } from '../smtp/random.ts';
import { createAuthority } from '../support/certificates.ts';
import { eventuallyEqual } from '../support/eventually.ts';
import { startInstance, TRANSPORTS } from '../support/instance.ts';
import { needsRoot } from '../support/needs.ts';
import { startPostfix } from '../support/postfix.ts';
import { start } from '../support/processes.ts';
import { type ScriptedBackend, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { swaks } from '../support/swaks.ts';
import { capabilitiesOf, connectStarttls } from '../support/tls-client.ts';
import {
  clientHello,
  flightOf,
  HELLO,
  opens,
  promised,
  recordOf,
  settings,
  tenant,
  trusting,
} from './routed.ts';

for (const transport of TRANSPORTS) {
  t.test(`${transport}: until STARTTLS the client speaks with us`, async t => {
    const { instance, backend } = await tenant(t, transport, opens(), {
      tls: { capabilities: ['SIZE 1000', 'starttls', '8BITMIME'] },
    });
    const client = await connectClient(t, instance.address());
    t.equal((await client.reply()).raw, '220 lb.example ESMTP\r\n');
    t.equal((await client.command('HELO x', 250)).raw, '250 lb.example\r\n');
    const hello = await client.command('ehlo client.example', 250);
    t.strictSame(capabilitiesOf(hello), ['SIZE 1000', '8BITMIME', 'STARTTLS'], 'ours, and STARTTLS once');
    await client.command('EHLO', /^501 5\.5\.4 /);
    for (const line of ['NOOP', 'rset']) await client.command(line, /^250 2\.0\.0 /);
    for (const line of ['MAIL FROM:<a@b.example>', 'AUTH PLAIN AGEAYg==', 'XCLIENT ADDR=::1', 'DATA', 'x'])
      await client.command(line, /^530 5\.7\.0 Must issue a STARTTLS command first\r\n$/);
    await client.write('BDAT 10 LAST\r\nSTARTTLS\r\n');
    await client.expect(530);
    await client.command('STARTTLS now', /^501 5\.5\.4 /);
    await client.command('NOOP\nSTARTTLS', /^500 5\.5\.2 /);
    await client.command(`NOOP ${'x'.repeat(5_000)}`, /^500 5\.5\.2 /);
    await client.command('QUIT', /^221 2\.0\.0 lb\.example /);
    await client.expectClosed('fin');
    client.end();
    t.match(await recordOf(instance), {
      cause: 'client-closed',
      termination: 'cN',
      helloName: 'client.example',
      starttls: 'offered',
      capabilities: ['SIZE', '8BITMIME', 'STARTTLS'],
      routing: { serverName: null, by: null },
      backend: null,
      bytesFromClient: 0,
    });
    t.equal(backend.connections.length, 0, 'and no backend is troubled');
    await instance.idle();
  });

  t.test(`${transport}: the name decides: exact, wildcard of one label, or the listener's pool`, async t => {
    const [first, second, others] = [
      await startScriptedBackend(t, opens('first')),
      await startScriptedBackend(t, opens('second')),
      await startScriptedBackend(t, opens('others')),
    ];
    const tenants = [
      { names: ['a.example', 'mail.b.example'], backends: [first] },
      { names: ['*.b.example'], backends: [second] },
    ];
    const instance = await startInstance(
      t,
      transport,
      settings([others], tenants, { pool: { identity: 'proxy-v2' } }),
    );
    const cases: readonly (readonly [string | undefined, string, ScriptedBackend, string])[] = [
      ['a.example', 'name', first, 'first'],
      ['A.Example', 'name', first, 'first'],
      ['mail.b.example', 'name', first, 'first'],
      ['www.b.example', 'wildcard', second, 'second'],
      ['b.example', 'unknown-name', others, 'others'],
      ['x.www.b.example', 'unknown-name', others, 'others'],
      [undefined, 'no-name', others, 'others'],
    ];
    for (const [at, [name, by, backend, answer]] of cases.entries()) {
      const hello = await clientHello(t, name);
      const client = await promised(t, instance);
      await client.write(hello);
      await client.until(answer);
      const connection = await backend.connection(backend.connections.length - 1);
      const heard = connection.received;
      t.same(heard.subarray(0, 12), Buffer.from('0d0a0d0a000d0a515549540a', 'hex'), 'a PROXY header');
      const header = heard.subarray(0, 16 + heard.readUInt16BE(14));
      t.equal(
        header.includes(`\x02\x00${String.fromCharCode(name?.length ?? 0)}${name?.toLowerCase()}`),
        !!name,
      );
      t.same(heard.subarray(header.length), Buffer.concat([Buffer.from(`${HELLO}STARTTLS\r\n`), hello]));
      client.reset();
      t.match(
        await recordOf(instance, at),
        {
          routing: { serverName: name?.toLowerCase() ?? null, by },
          pool: answer === 'others' ? 'others' : answer === 'first' ? 'tenant1' : 'tenant2',
          backend: 'b1',
          starttls: 'accepted',
          phase: 'relaying',
          bytesFromClient: hello.length,
          bytesFromBackend: answer.length,
        },
        String(name),
      );
    }
    const metrics = await instance.metrics();
    const routed = (pool: string, by: string) => metrics.value('smtplb_routed_sessions_total', { pool, by });
    t.equal(routed('tenant1', 'name'), 3);
    t.equal(routed('tenant2', 'wildcard'), 1);
    t.equal(routed('others', 'unknown-name'), 2);
    t.equal(routed('others', 'no-name'), 1);
    await instance.idle();
  });

  t.test(
    `${transport}: the client's flight reaches the backend octet for octet, however it is cut`,
    async t => {
      const { instance, backend } = await tenant(t, transport, opens());
      const hello = await clientHello(t, 'a.example');
      const flight = Buffer.concat([hello, Buffer.from('\x17\x03\x03\x00\x05early')]);
      const seed = seedOfRun();
      const random = randomFrom(seed);
      const cuts = [1, 2, 5, 6, 43, hello.length - 1, hello.length, hello.length + 3].map(at => [at]);
      for (let round = 0; round < 12; round++)
        cuts.push(Array.from({ length: 1 + random.below(8) }, () => random.below(flight.length)));
      cuts.push(Array.from({ length: flight.length }, (_, at) => at));
      for (const [index, places] of cuts.entries()) {
        const ends = [...new Set(places), flight.length].sort((a, b) => a - b);
        const client = await promised(t, instance);
        const pieces = ends
          .map((end, at) => flight.subarray(ends[at - 1] ?? 0, end))
          .filter(({ length }) => length);
        await client.writePieces(pieces);
        client.end();
        const connection = await backend.connection(index);
        await client.until('the handshake');
        await connection.expectClosed('fin');
        t.ok(flightOf(connection).equals(flight), `seed ${seed}: ${ends.length} pieces`);
        connection.end();
        await client.expectClosed('fin');
      }
      t.match(await recordOf(instance), { cause: 'normal', termination: '-R' });
      await instance.idle();
    },
  );

  t.test(
    `${transport}: a ClientHello of many segments, more than is read of a client without a backend`,
    async t => {
      const { instance, backend } = await tenant(t, transport, opens());
      const ALPNProtocols = Array.from({ length: 60 }, (_, at) => `${at}`.repeat(100));
      const hello = await clientHello(t, 'a.example', { ALPNProtocols });
      t.ok(hello.length > 2 * EARLY_CLIENT_OCTETS, `${hello.length} octets`);
      const client = await promised(t, instance);
      await client.writePieces(
        Array.from({ length: 20 }, (_, at) => hello.subarray(at * 700, (at + 1) * 700)),
      );
      await client.until('the handshake');
      await client.write('more');
      const connection = await backend.connection();
      await connection.until('more');
      t.ok(flightOf(connection).equals(Buffer.concat([hello, Buffer.from('more')])), 'and it is read again');
      client.reset();
      await instance.idle();
    },
  );

  t.test(`${transport}: commands come in one piece, or cut anywhere`, async t => {
    const { instance, backend } = await tenant(t, transport, opens());
    const hello = await clientHello(t, 'a.example');
    const commands = 'EHLO client.example\r\nNOOP\r\nstarttls \r\n';
    for (let cut = 0; cut <= commands.length; cut++) {
      const client = await connectClient(t, instance.address());
      await client.expect(220);
      const pieces = cut === 0 ? [...commands] : [commands.slice(0, cut), commands.slice(cut)];
      await client.writePieces(pieces.filter(piece => piece !== ''));
      for (const reply of [250, 250, 220]) await client.expect(reply);
      await client.write(hello);
      await client.until('the handshake');
      const { received } = client;
      t.equal(received.toString('latin1').match(/^\d{3} /gm)?.length, 4, `cut at ${cut}`);
      t.ok(flightOf(await backend.connection(cut)).equals(hello));
      client.reset();
    }
    await instance.idle();
  });

  t.test(`${transport}: a reload changes routes for those who come after it`, async t => {
    const [first, second] = [
      await startScriptedBackend(t, opens('first')),
      await startScriptedBackend(t, opens('second')),
    ];
    const to = (backend: ScriptedBackend, name: string) =>
      settings([first], [{ names: [name], backends: [backend] }]);
    const instance = await startInstance(t, transport, to(first, 'a.example'));
    const before = await promised(t, instance);
    instance.configure(to(second, 'b.example'));
    t.equal((await instance.server.reload()).ok, true);
    const after = await promised(t, instance);
    await after.write(await clientHello(t, 'b.example'));
    await after.until('second');
    after.reset();
    await before.write(await clientHello(t, 'a.example'));
    await before.until(/first|second/);
    before.reset();
    t.match(await instance.sessions(2), [
      { pool: 'tenant1', routing: { by: 'name' } },
      { pool: 'tenant1', routing: { by: 'name' } },
    ]);
    await instance.idle();
  });

  t.test(
    `${transport}: two Postfix with a certificate each, and nobody in between has a key`,
    needsRoot('postfix', 'openssl', 'swaks'),
    async t => {
      const authority = await createAuthority(t);
      const postfix = async (hostName: string) => {
        const { certFile, keyFile } = await authority.issue({ names: [hostName] });
        const main = [`smtpd_tls_chain_files = ${keyFile}, ${certFile}`, 'smtpd_tls_security_level = may'];
        return startPostfix(t, { hostName, proxyProtocol: true, main });
      };
      const [a, b] = await Promise.all([postfix('mx.a.example'), postfix('mx.b.example')]);
      const tenants = [
        { names: ['mx.a.example'], backends: [a] },
        { names: ['*.b.example'], backends: [b] },
      ];
      const instance = await startInstance(
        t,
        transport,
        settings([a], tenants, { pool: { identity: 'proxy-v2' } }),
      );
      for (const [name, server] of [
        ['mx.a.example', a],
        ['mx.b.example', b],
      ] as const) {
        const client = await connectStarttls(t, instance.address(), trusting(authority, name));
        t.match(client.socket.getPeerCertificate().subject, { CN: name }, 'verified by the client');
        t.match((await client.command('EHLO client.example', 250)).lines[0], name);
        await client.deliver();
        await client.command('QUIT', 221);
        client.end();
        const address = instance.address();
        if (address.family === 'unix') throw new Error('TCP is meant');
        const sent = await swaks(t, { server: address, extra: ['--tls', '--tls-sni', name] });
        t.equal(sent.exitCode, 0, `${sent.stdout}${sent.stderr}`);
        const shown = start(t, 'openssl', [
          ...['s_client', '-starttls', 'smtp', '-connect', formatAddress(address), '-servername', name],
          ...['-CAfile', authority.certFile, '-verify_return_error', '-verify_hostname', name],
        ]);
        await shown.printed(/Verification: OK/);
        await shown.stop();
        await eventuallyEqual(`${name} took both messages`, () => server.delivered(), 2);
        t.ok((await server.clients()).every(client => client === '127.0.0.1'));
      }
      await instance.idle();
    },
  );
}
