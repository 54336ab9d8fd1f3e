/** TLS that smtplb speaks with backends: the client sees nothing of it but a greeting. */
import { rm } from 'node:fs/promises';
import type { TLSSocket } from 'node:tls';
import type { SMTPServerOptions } from 'smtp-server';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { createAuthority, type TestCertificate } from '../support/certificates.ts';
import { eventuallyEqual } from '../support/eventually.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { pair, startMailServer } from '../support/mail-server.ts';
import { needs, needsRoot } from '../support/needs.ts';
import { startPostfix } from '../support/postfix.ts';
import { type BackendConnection, greet, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

for (const transport of TRANSPORTS) {
  for (const mode of ['starttls', 'implicit', 'may'] as const) {
    t.test(`${transport}: ${mode}: a client in plaintext, a backend over TLS`, needs('openssl'), async t => {
      const authority = await createAuthority(t);
      const certificate = await authority.issue({ names: ['mx.example'] });
      const server = await startMailServer(t, { secure: mode === 'implicit', ...pair(certificate) });
      const tls = { mode, verify: true, ca: authority.certFile, serverName: 'mx.example' };
      const instance = await startInstance(t, transport, mx([formatAddress(server.address)], { tls }));
      for (let session = 0; session < 3; session++) {
        const client = await connectClient(t, instance.address());
        await client.expect(/^220 .*\r\n$/);
        const hello = await client.command('EHLO client.example', 250);
        t.notMatch(hello.raw, /STARTTLS/, 'it is done already');
        await client.deliver();
        await client.command('QUIT', 221);
        client.end();
      }
      t.equal(server.messages.length, 3);
      t.ok(
        server.messages.every(({ secure }) => secure),
        'each over TLS',
      );
      const records = await instance.sessions(3);
      t.match(records, [{ cause: 'normal', backendTls: /^TLSv1\.3 TLS_/, retries: [] }, {}, {}]);
      const metrics = await instance.metrics();
      const handshakes = (result: string) =>
        metrics.value('smtplb_backend_tls_handshakes_total', { result }) ?? 0;
      t.equal(handshakes('ok') + handshakes('resumed'), 3);
      t.comment(`${handshakes('resumed')} of 3 handshakes resumed`);
      t.ok(handshakes('resumed') > 0, 'later ones take less');
      await instance.idle();
    });
  }

  t.test(
    `${transport}: who cannot show the right certificate is left for another`,
    needs('openssl', 'faketime'),
    async t => {
      const authority = await createAuthority(t);
      const stranger = await createAuthority(t, 'Stranger');
      const right = await authority.issue({ names: ['mx.example'] });
      const wrong: readonly (readonly [string, TestCertificate, RegExp])[] = [
        [
          'another name',
          await authority.issue({ names: ['www.example', 'ftp.example'] }),
          /is for DNS:www\.example, DNS:ftp\.example, not for mx\.example/,
        ],
        ['another authority', await stranger.issue({ names: ['mx.example'] }), /authority is not known/],
        ['expired', await authority.issue({ names: ['mx.example'], days: 2, issued: '-10d' }), /has expired/],
      ];
      const good = await startMailServer(t, pair(right));
      const bad = await Promise.all(wrong.map(([, certificate]) => startMailServer(t, pair(certificate))));
      const instance = await startInstance(t, transport, {
        listeners: wrong.map((_, at) => ({ name: `p${at}`, pool: `p${at}` })),
        pools: bad.map(({ address }, at) => ({
          name: `p${at}`,
          tls: { mode: 'starttls', ca: authority.certFile, serverName: 'mx.example' },
          backends: [
            { name: 'b1', address: formatAddress(address) },
            { name: 'b2', address: formatAddress(good.address), backup: true },
          ],
        })),
      });
      for (const [at, [what, , reason]] of wrong.entries()) {
        const pool = `p${at}`;
        const client = await connectClient(t, instance.address(pool));
        await client.expect(220);
        await client.command('EHLO client.example', 250);
        await client.deliver();
        await client.command('QUIT', 221);
        client.end();
        t.match(
          await instance.sessionAt(pool),
          { backend: 'b2', retries: [{ backend: 'b1', fault: 'tls-failed', detail: reason }] },
          what,
        );
        const line = await instance.logged(
          'the reason',
          line => line['fault'] === 'tls-failed' && line['pool'] === pool,
        );
        t.match(line, { level: 'warn', backend: 'b1', detail: reason });
        t.equal(bad[at]?.messages.length, 0);
        const metrics = await instance.metrics();
        t.equal(
          metrics.value('smtplb_backend_tls_handshakes_total', { pool, backend: 'b1', result: 'untrusted' }),
          1,
        );
      }
      t.equal(good.messages.length, wrong.length);
      await instance.idle();
    },
  );

  t.test(
    `${transport}: a pinned certificate or key is enough, and nothing else is`,
    needs('openssl'),
    async t => {
      const { X509Certificate, createHash } = await import('node:crypto');
      const authority = await createAuthority(t);
      const own = await authority.issue({ names: ['whatever.example'] });
      const other = await authority.issue({ names: ['mx.example'] });
      const certificate = new X509Certificate(own.cert);
      const key = createHash('sha256')
        .update(certificate.publicKey.export({ type: 'spki', format: 'der' }))
        .digest('hex');
      const server = await startMailServer(t, pair(own));
      const pins = [
        [certificate.fingerprint256, true],
        [key, true],
        [new X509Certificate(other.cert).fingerprint256, false],
      ] as const;
      const instance = await startInstance(t, transport, {
        listeners: pins.map((_, at) => ({ name: `p${at}`, pool: `p${at}` })),
        pools: pins.map(([fingerprint], at) => ({
          name: `p${at}`,
          tls: { mode: 'starttls', fingerprints: [fingerprint] },
          backends: [{ address: formatAddress(server.address) }],
        })),
      });
      for (const [at, [, greeted]] of pins.entries()) {
        const client = await connectClient(t, instance.address(`p${at}`));
        await client.expect(greeted ? 220 : 421);
        client.end();
        const record = await instance.sessionAt(`p${at}`);
        if (!greeted) t.match(record, { cause: 'backend-tls', phase: 'connecting', termination: 'eC' });
      }
      await instance.idle();
    },
  );

  t.test(`${transport}: a backend that asks for a certificate gets ours`, needs('openssl'), async t => {
    const authority = await createAuthority(t);
    const certificate = await authority.issue({ names: ['mx.example'] });
    const ours = await authority.issue({ names: ['lb.example'] });
    let seen = '';
    const server = await startMailServer(t, {
      ...pair(certificate),
      secure: true,
      ca: [authority.cert],
      requestCert: true,
      rejectUnauthorized: true,
      onSecure(socket, _session, callback) {
        seen = String((socket as TLSSocket).getPeerCertificate().subject.CN);
        callback();
      },
    } as SMTPServerOptions);
    const tls = { mode: 'implicit', ca: authority.certFile, serverName: 'mx.example' };
    const withOne = { ...tls, certificate: { cert: ours.certFile, key: ours.keyFile } };
    for (const [settings, code] of [
      [withOne, 220],
      [tls, 421],
    ] as const) {
      const instance = await startInstance(
        t,
        transport,
        mx([formatAddress(server.address)], { tls: settings }),
      );
      const client = await connectClient(t, instance.address());
      await client.expect(code);
      client.end();
      await instance.idle();
    }
    t.equal(seen, 'lb.example');
  });

  t.test(`${transport}: STARTTLS that is not there, refused, silent or poisoned`, async t => {
    const upTo220 = (reply: string) => async (connection: BackendConnection) => {
      await connection.write('220 bad ESMTP\r\n');
      await connection.until('EHLO lb.example\r\n');
      await connection.write('250-bad\r\n250 STARTTLS\r\n');
      await connection.until('STARTTLS\r\n');
      await connection.write(reply);
      await connection.closed;
    };
    const cases = [
      [smtp(), 'starttls-refused', /does not offer STARTTLS/],
      [upTo220('454 4.7.0 not now\r\n'), 'starttls-refused', /answered STARTTLS with "454 4\.7\.0 not now"/],
      [upTo220('220 go\r\n250 XCLIENT injected\r\n'), 'starttls-injection', /plaintext behind its 220/],
      [upTo220('220 go\r\n'), 'tls-failed', undefined],
      [
        greet('220 bad ESMTP\r\n250-bad\r\n250 STARTTLS\r\n'),
        'bad-greeting',
        /more than it was asked before its greeting/,
      ],
      [upTo220('garbage\r\n'), 'bad-greeting', /sent "g.*" where STARTTLS was to be answered/],
      [
        (connection: BackendConnection) => connection.writePieces(['220 x ESMTP\r\n']),
        'greeting-timeout',
        undefined,
      ],
    ] as const;
    const bad = await Promise.all(cases.map(([script]) => startScriptedBackend(t, script)));
    const instance = await startInstance(t, transport, {
      listeners: bad.map((_, at) => ({ name: `p${at}`, pool: `p${at}` })),
      pools: bad.map(({ address }, at) => ({
        name: `p${at}`,
        tls: { mode: 'starttls', verify: false },
        connect: { greetingTimeout: cases[at]?.[2] === undefined ? '1s' : '30s', attempts: 1 },
        backends: [{ address: formatAddress(address) }],
      })),
    });
    await Promise.all(
      cases.map(async ([, fault, detail], at) => {
        const client = await connectClient(t, instance.address(`p${at}`));
        await client.expect(421);
        client.end();
        const tried = detail === undefined ? { fault } : { fault, detail };
        t.match(await instance.sessionAt(`p${at}`), { retries: [tried] });
      }),
    );
    await instance.idle();
  });

  t.test(
    `${transport}: may: plaintext where there is no TLS, or where it fails`,
    needs('openssl'),
    async t => {
      const none = await startScriptedBackend(t, smtp());
      let dialled = 0;
      let mute = false;
      const broken = await startScriptedBackend(t, async connection => {
        dialled++;
        await connection.write('220 broken ESMTP\r\n');
        const first = await connection.until(/EHLO \S+\r\n/);
        await connection.write('250-broken\r\n250 STARTTLS\r\n');
        if (!first.includes('lb.example')) {
          await connection.until('QUIT\r\n');
          await connection.write('221 bye\r\n');
          return connection.end();
        }
        await connection.until('STARTTLS\r\n');
        await connection.write('220 go\r\n');
        await connection.until(/[\s\S]/);
        if (!mute) await connection.write('this is no TLS record at all\r\n');
        await connection.closed;
      });
      for (const [backend, fallback] of [
        [none, false],
        [broken, true],
        [broken, true],
      ] as const) {
        const pool = { tls: { mode: 'may' }, connect: { greetingTimeout: '500ms' } };
        // Each shard finds it out by itself.
        const settings = { ...mx([formatAddress(backend.address)], pool), shards: 1 };
        const instance = await startInstance(t, transport, settings);
        for (let session = 0; session < 2; session++) {
          const client = await connectClient(t, instance.address());
          await client.expect(220);
          await client.command('EHLO client.example', 250);
          await client.command('QUIT', 221);
          client.end();
        }
        const records = await instance.sessions(2);
        t.match(records, [{ retries: [], backend: 'b1', backendTls: undefined }, { retries: [] }]);
        if (fallback) {
          t.equal(
            dialled,
            3,
            mute
              ? 'a silent one, too'
              : 'dialled again for the first session, and at once in plaintext for the second',
          );
          [dialled, mute] = [0, true];
          await instance.logged('a warning', ({ msg }) => /in plaintext for five minutes/.test(String(msg)));
        }
        await instance.idle();
      }
    },
  );

  t.test(
    `${transport}: Postfix sees TLS where smtplb speaks it`,
    needsRoot('postfix', 'openssl'),
    async t => {
      const authority = await createAuthority(t);
      const certificate = await authority.issue({ names: ['mx.example'], type: 'rsa' });
      const postfix = await startPostfix(t, {
        main: [
          'smtpd_tls_security_level = encrypt',
          `smtpd_tls_cert_file = ${certificate.certFile}`,
          `smtpd_tls_key_file = ${certificate.keyFile}`,
          'smtpd_tls_loglevel = 1',
        ],
      });
      const tls = { mode: 'starttls', ca: authority.certFile, serverName: 'mx.example', minVersion: '1.3' };
      const instance = await startInstance(t, transport, mx([formatAddress(postfix.address)], { tls }));
      const client = await connectClient(t, instance.address());
      await client.expect(220);
      t.notMatch((await client.command('EHLO client.example', 250)).raw, /STARTTLS/);
      await client.deliver();
      await client.command('QUIT', 221);
      client.end();
      await eventuallyEqual('a message delivered', () => postfix.delivered(), 1);
      await postfix.logged(/TLS connection established from .*TLSv1\.3/);
      await instance.idle();
    },
  );
}

t.test('files that cannot be used are named, and nothing starts', needs('openssl'), async t => {
  const authority = await createAuthority(t);
  const [one, two] = [
    await authority.issue({ names: ['a.example'] }),
    await authority.issue({ names: ['b.example'] }),
  ];
  const empty = await temporaryDirectory(t);
  for (const [settings, sentence] of [
    [{ ca: `${empty}/none.pem` }, /pool mx: tls\.ca: .*none\.pem cannot be read \(ENOENT\)/],
    [{ ca: one.keyFile }, /pool mx: tls\.ca: .* holds no certificate/],
    [{ certificate: { cert: one.certFile, key: two.keyFile } }, /tls\.certificate: .* do not fit/],
  ] as const) {
    const tls = { mode: 'starttls', ...settings };
    await t.rejects(startInstance(t, 'net', mx(['127.0.0.1:1'], { tls })), { message: sentence });
  }
  await rm(empty, { recursive: true, force: true });
});
