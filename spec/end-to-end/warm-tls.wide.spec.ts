/** Warm connections where TLS is chosen, tried or spoken: nothing of it may reach a client late, or twice. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { createAuthority } from '../support/certificates.ts';
import { eventuallyEqual } from '../support/eventually.ts';
import { type Instance, mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { pair, startMailServer } from '../support/mail-server.ts';
import { needs } from '../support/needs.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { clientHello, flightOf, HELLO, opens, promised, tenant } from './routed.ts';

async function warmAre(instance: Instance, count: number, labels: Record<string, string>): Promise<void> {
  await eventuallyEqual(
    'connections that are warm',
    async () => (await instance.metrics()).value('smtplb_backend_warm_connections', labels),
    count,
  );
}

for (const transport of TRANSPORTS) {
  t.test(`${transport}: routed by server name, a tenant's backend is warm`, needs('openssl'), async t => {
    const more = { pool: { warm: { size: 2, maxAge: '1h' } } };
    const { backend, others, instance } = await tenant(t, transport, opens(), more);
    await warmAre(instance, 2, { pool: 'tenant1' });
    await warmAre(instance, 2, { pool: 'others' });
    const hello = await clientHello(t, 'a.example');
    const client = await promised(t, instance);
    await client.write(hello);
    await client.until('the handshake');
    client.end();
    for (const connection of backend.connections) connection.end();
    const heard = backend.connections.slice(0, 2).filter(({ received }) => received.includes('EHLO'));
    t.equal(heard.length, 1, 'it served the client, and was opened before it came');
    for (const connection of heard) t.ok(flightOf(connection).equals(hello));
    t.ok(others.connections.every(({ octets }) => octets === 0));
    t.match(await instance.sessions(1), [{ pool: 'tenant1', connectMs: 0, retries: [] }]);
  });

  t.test(`${transport}: routed to one that dies as it is taken: dialled anew`, needs('openssl'), async t => {
    let opened = 0;
    const { backend, instance } = await tenant(
      t,
      transport,
      async connection => {
        if (opened++ > 0) return opens()(connection);
        await connection.write('220 one ESMTP\r\n');
        await connection.until(HELLO);
        connection.reset();
      },
      { pool: { warm: { size: 1, maxAge: '1h' } } },
    );
    await warmAre(instance, 1, { pool: 'tenant1' });
    const client = await promised(t, instance);
    await client.write(await clientHello(t, 'a.example'));
    await client.until('the handshake');
    client.end();
    for (const connection of backend.connections) connection.end();
    t.match(await instance.sessions(1), [{ pool: 'tenant1', retries: [] }], 'which counts against nobody');
  });

  t.test(`${transport}: TLS with backends is done before there is a client`, needs('openssl'), async t => {
    const authority = await createAuthority(t);
    const certificate = await authority.issue({ names: ['mx.example'] });
    for (const mode of ['implicit', 'may'] as const) {
      const server = await startMailServer(t, { secure: mode === 'implicit', ...pair(certificate) });
      const tls = { mode, verify: true, ca: authority.certFile, serverName: 'mx.example' };
      const pool = { tls, warm: { size: 2, maxAge: '1h' } };
      const instance = await startInstance(t, transport, mx([formatAddress(server.address)], pool));
      await warmAre(instance, 2, { backend: 'b1' });
      const client = await connectClient(t, instance.address());
      await client.expect(/^220 .*\r\n$/);
      await client.command('EHLO client.example', 250);
      await client.deliver();
      await client.command('QUIT', 221);
      client.end();
      t.match(
        await instance.sessions(1),
        [{ connectMs: 0, backendTls: /^TLSv1\.3 /, cause: 'normal' }],
        mode,
      );
      t.match(server.messages, [{ secure: true }]);
      await instance.stop();
    }
  });

  t.test(`${transport}: may: where TLS comes to nothing, they are warm without`, async t => {
    let tried = 0;
    const plain = smtp({ hostName: 'plain.example', capabilities: ['STARTTLS'] });
    const backend = await startScriptedBackend(t, async connection => {
      if (tried++ > 0) return plain(connection);
      await connection.write('220 plain.example ESMTP\r\n');
      await connection.until(HELLO);
      await connection.write('250-plain.example\r\n250 STARTTLS\r\n');
      await connection.until('STARTTLS\r\n');
      await connection.write('220 2.0.0 go on\r\n');
      await connection.until(/[\s\S]/);
      await connection.write('454 4.7.0 after all not\r\n');
    });
    const pool = { tls: { mode: 'may' }, warm: { size: 2, maxAge: '1h' } };
    const instance = await startInstance(t, transport, mx([formatAddress(backend.address)], pool));
    await warmAre(instance, 2, { backend: 'b1' });
    t.equal(backend.connections.length, 3, 'TLS was tried once');
    const client = await connectClient(t, instance.address());
    await client.expect(/^220 plain\.example/);
    t.equal(client.pending(), '');
    await client.command('EHLO client.example', 250);
    await client.command('QUIT', 221);
    client.end();
    t.match(await instance.sessions(1), [{ connectMs: 0, cause: 'normal', retries: [] }]);
  });
}
