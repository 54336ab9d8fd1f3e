import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { createAuthority, type TestAuthority, type TestCertificate } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { type Instance, mx, startInstance, TRANSPORTS, type TransportName } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { type Script, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { capabilitiesOf, connectStarttls, connectTls } from '../support/tls-client.ts';

const OFFERS = ['PIPELINING', 'STARTTLS', 'XCLIENT NAME ADDR', '8BITMIME'];

const listener = ({ certFile, keyFile }: TestCertificate, tls: Readonly<Record<string, unknown>>) => ({
  tls: { certificates: [{ cert: certFile, key: keyFile }], ...tls },
});

interface Issued {
  readonly authority: TestAuthority;
  readonly certificate: TestCertificate;
}

async function issued(owner: Owner): Promise<Issued> {
  const authority = await createAuthority(owner);
  return { authority, certificate: await authority.issue({ names: ['mx.example.net'] }) };
}

async function start(
  owner: Owner,
  transport: TransportName,
  { authority, certificate }: Issued,
  tls: Readonly<Record<string, unknown>>,
  script: Script = smtp({ capabilities: OFFERS }),
) {
  const backend = await startScriptedBackend(owner, script);
  const instance = await startInstance(
    owner,
    transport,
    mx(
      [formatAddress(backend.address)],
      {},
      { ...listener(certificate, tls), timeouts: { handshake: '20s' } },
    ),
  );
  return { authority, backend, certificate, instance };
}

const trusting = (cert: string) => ({ ca: cert, servername: 'mx.example.net', rejectUnauthorized: true });

const heardBy = ({ backend }: Awaited<ReturnType<typeof start>>, index = 0) =>
  backend.connections[index]?.received.toString('latin1');

async function recordOf(instance: Instance) {
  const [record] = await instance.sessions(1);
  return record;
}

for (const transport of TRANSPORTS) {
  t.test(`${transport}: STARTTLS ends here`, needs('openssl'), async t => {
    const certified = await issued(t);
    t.test('the offer is ours, the handshake too, and the mail goes on inside of it', async t => {
      const world = await start(t, transport, certified, { mode: 'starttls' });
      const { authority, instance } = world;
      const client = await connectStarttls(t, instance.address(), trusting(authority.cert));
      t.strictSame(
        capabilitiesOf(client.plain),
        ['PIPELINING', '8BITMIME', 'STARTTLS'],
        'offered once, XCLIENT never',
      );
      t.equal(client.plain.raw.endsWith('250 STARTTLS\r\n'), true);
      const again = await client.command('EHLO client.example', 250);
      t.strictSame(capabilitiesOf(again), ['PIPELINING', '8BITMIME'], 'not offered again');
      await client.command('STARTTLS', /^503 5\.5\.1 /);
      await client.command('XCLIENT ADDR=192.0.2.1', /^550 5\.7\.0 /);
      await client.deliver();
      await client.command('QUIT', 221);
      await client.expectClosed('fin');
      client.end();
      t.equal(
        heardBy(world),
        'EHLO client.example\r\nEHLO client.example\r\nMAIL FROM:<from@example.org>\r\n' +
          'RCPT TO:<to@example.com>\r\nDATA\r\nSubject: test\r\n\r\nHello.\r\n.\r\nQUIT\r\n',
        'the backend hears the mail and two greetings',
      );
      const record = await recordOf(instance);
      t.match(record, {
        starttls: 'accepted',
        helloName: 'client.example',
        tls: { version: 'TLSv1.3', cipher: /^TLS_/, serverName: 'mx.example.net', resumed: false },
        termination: '-R',
      });
      t.notOk(JSON.stringify(instance.log).includes('PRIVATE'), 'no key in the log');
      const metrics = await instance.metrics();
      t.equal(metrics.value('smtplb_tls_handshakes_total', { listener: 'mx', version: 'TLSv1.3' }), 1);
      t.equal(metrics.value('smtplb_starttls_used_total', { listener: 'mx' }), 1);
      t.ok((metrics.value('smtplb_certificate_expiry_seconds') ?? 0) > 29 * 86_400 - 60);
      await instance.idle();
    });

    t.test('a backend that offers none, one with a reply of one line, HELO and LHLO', async t => {
      const { instance } = await start(t, transport, certified, { mode: 'starttls' }, async connection => {
        await connection.write('220-wait\r\n');
        await connection.write('220 mx\r\n');
        for (;;) {
          const line = await connection.until('\r\n').catch(() => undefined);
          if (line === undefined) return connection.end();
          await connection.write(line.startsWith('QUIT') ? '221 bye\r\n' : '250 mx\r\n');
        }
      });
      const client = await connectClient(t, instance.address());
      await client.expect(/^220-wait\r\n220 mx\r\n$/);
      t.equal((await client.command('EHLO c')).raw, '250-mx\r\n250 STARTTLS\r\n');
      t.equal((await client.command('LHLO c')).raw, '250-mx\r\n250 STARTTLS\r\n');
      t.equal((await client.command('HELO c')).raw, '250 mx\r\n');
      t.equal((await client.command('NOOP')).raw, '250 mx\r\n');
      await client.command('STARTTLS now', /^501 5\.5\.4 /);
      await client.command('MAIL FROM:<a@b.example>', /^250 mx/);
      client.end();
      t.match(await recordOf(instance), { starttls: 'offered', tls: null, hello: 'HELO' });
    });

    t.test('required: nothing of a mail before TLS, and nothing of it reaches the backend', async t => {
      const world = await start(t, transport, certified, { mode: 'starttls', required: true });
      const client = await connectClient(t, world.instance.address());
      await client.expect(220);
      await client.command('EHLO c', 250);
      for (const line of [
        'MAIL FROM:<a@b.example>',
        'AUTH PLAIN AGEAYg==',
        'DATA',
        'VRFY a',
        'FOO',
        'mail from:<>',
      ]) {
        await client.command(line, /^530 5\.7\.0 Must issue a STARTTLS command first\r\n$/);
      }
      await client.write('BDAT 12 LAST\r\nQUIT\r\nNOOP\r\nRSET\r\n');
      await client.expect(/^530 /);
      await client.expect(250);
      for (const odd of ['NOOP\nMAIL FROM:<a@b.example>', 'NOOP\rQUIT', 'NOOP\0']) {
        await client.command(odd, /^500 5\.5\.2 /);
      }
      await client.command('x'.repeat(5_000), /^500 5\.5\.2 Error: line too long/);
      await client.command('NOOP', 250);
      await client.command('QUIT', 221);
      client.end();
      t.equal(heardBy(world), 'EHLO c\r\nRSET\r\nNOOP\r\nQUIT\r\n', 'what is chunk data is no command');
      await world.instance.idle();
    });

    t.test('answers come in the order of the commands, whoever gives them', async t => {
      const world = await start(
        t,
        transport,
        certified,
        { mode: 'starttls', required: true },
        async connection => {
          await connection.write('220 mx\r\n');
          for (;;) {
            const line = await connection.until('\r\n').catch(() => undefined);
            if (line === undefined) return connection.end();
            await eventually('a while', () => true);
            const reply = line.startsWith('EHLO') ? '250-mx\r\n250 SIZE\r\n' : `250 ${line}`;
            await connection.writePieces([...reply].map(octet => Buffer.from(octet, 'latin1')));
          }
        },
      );
      const client = await connectClient(t, world.instance.address());
      await client.expect(220);
      await client.write(
        'EHLO c\r\nMAIL FROM:<x@y.example>\r\nNOOP 1\r\nDATA\r\nFOO\r\nNOOP 2\r\nSTARTTLS x\r\n',
      );
      const replies = [];
      for (let at = 0; at < 7; at++) replies.push((await client.reply()).raw);
      t.match(replies, [
        /^250-mx\r\n250-SIZE\r\n250 STARTTLS\r\n$/,
        /^530 /,
        /^250 NOOP 1/,
        /^530 /,
        /^530 /,
        /^250 NOOP 2/,
        /^501 /,
      ]);
      await client.write(`${'NOOP 3\r\nFOO\r\n'.repeat(500)}STARTTLS\r\n`);
      for (let at = 0; at < 500; at++) {
        await client.expect(/^250 NOOP 3/);
        await client.expect(/^530/);
      }
      await client.expect(/^220 2\.0\.0/);
      client.end();
      await world.instance.idle();
    });

    t.test('after TLS the greetings from before count no more', async t => {
      const world = await start(t, transport, certified, { mode: 'starttls' });
      const client = await connectStarttls(t, world.instance.address());
      await client.command('MAIL FROM:<a@b.example>', /^503 5\.5\.1 /);
      await client.command('DATA', /^503 5\.5\.1 /);
      await client.command('NOOP', 250);
      await client.command('MAIL FROM:<a@b.example>', /^503 5\.5\.1 /);
      await client.command('HELO c', 250);
      await client.command('MAIL FROM:<a@b.example>', 250);
      client.end();
      t.equal(heardBy(world), 'EHLO client.example\r\nNOOP\r\nHELO c\r\nMAIL FROM:<a@b.example>\r\n');
    });

    t.test('a handshake that stalls holds nobody else, and ends by its deadline', async t => {
      const world = await start(t, transport, certified, { mode: 'starttls' });
      const { instance } = world;
      const config = instance.server;
      t.ok(config);
      const stalled = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const client = await connectClient(t, instance.address());
          await client.expect(220);
          await client.command('EHLO c', 250);
          await client.command('STARTTLS', 220);
          await client.write(Buffer.from([22, 3, 1, 0x02]));
          return client;
        }),
      );
      const client = await connectStarttls(t, instance.address());
      await client.command('EHLO c', 250);
      await client.deliver();
      await client.command('QUIT', 221);
      client.end();
      for (const one of stalled) one.end();
      await Promise.all(stalled.map(one => one.closed));
      const records = await instance.sessions(21);
      t.equal(records.filter(record => record['tlsFault'] === 'closed').length, 20);
      await instance.idle();
    });
  });

  t.test(`${transport}: implicit TLS`, needs('openssl'), async t => {
    const certified = await issued(t);
    const { certificate } = certified;
    t.test('TLS first, then as ever, and STARTTLS is not offered', async t => {
      const world = await start(t, transport, certified, { mode: 'implicit' });
      const client = await connectTls(t, world.instance.address(), trusting(world.authority.cert));
      await client.expect(220);
      t.strictSame(capabilitiesOf(await client.command('EHLO c', 250)), ['PIPELINING', '8BITMIME']);
      await client.command('STARTTLS', /^503 /);
      await client.deliver();
      await client.command('QUIT', 221);
      await client.expectClosed('fin');
      client.end();
      t.match(await recordOf(world.instance), {
        starttls: 'not-offered',
        tls: { version: 'TLSv1.3', serverName: 'mx.example.net' },
        termination: '-R',
      });
      await world.instance.idle();
    });

    t.test(
      'no backend is dialled before the handshake is whole; plaintext and silence end there',
      async t => {
        const backend = await startScriptedBackend(t, smtp());
        const instance = await startInstance(
          t,
          transport,
          mx(
            [formatAddress(backend.address)],
            {},
            {
              ...listener(certificate, { mode: 'implicit' }),
              timeouts: { handshake: '1s' },
            },
          ),
        );
        const plain = await connectClient(t, instance.address());
        await plain.write('EHLO c\r\n');
        await plain.closed;
        const silent = await connectClient(t, instance.address());
        await silent.closed;
        t.equal(plain.octets + silent.octets, 0, 'no SMTP to who speaks no TLS');
        const records = await instance.sessions(2);
        t.match(records, [
          { termination: 'SA', tlsFault: 'not-tls', backend: null },
          { termination: 'SA', tlsFault: 'timeout', backend: null },
        ]);
        const metrics = await instance.metrics();
        t.equal(metrics.value('smtplb_tls_failures_total', { reason: 'not-tls' }), 1);
        t.equal(metrics.value('smtplb_tls_failures_total', { reason: 'timeout' }), 1);
        t.equal(backend.connections.length, 0);
        await instance.idle();
      },
    );

    t.test('who is refused hears it in TLS: an alert before the handshake, 421 after it', async t => {
      const settings = (extra: Readonly<Record<string, unknown>>) =>
        mx(
          ['127.0.0.1:1'],
          { check: { type: 'none' } },
          { ...listener(certificate, { mode: 'implicit' }), ...extra },
        );
      const denying = await startInstance(t, transport, settings({ clients: { deny: ['127.0.0.0/8'] } }));
      await t.rejects(connectTls(t, denying.address()), /access denied/, 'the alert');
      t.match(await recordOf(denying), { cause: 'denied' });
      const empty = await startInstance(t, transport, settings({}));
      const client = await connectTls(t, empty.address());
      await client.expect(/^421 4\.3\.2 lb\.example /);
      await client.expectClosed('fin');
      client.end();
      await empty.idle();
    });
  });
}
