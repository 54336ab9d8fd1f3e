import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Address, formatAddress, type IpAddress } from '../../lib/core/address.ts';
import { decodeProxyHeader } from '../../lib/proxy-protocol/decode.ts';
import { createAuthority, type TestCertificate } from '../support/certificates.ts';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import { FASTEST, mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { needs, needsRoot } from '../support/needs.ts';
import { startPostfix } from '../support/postfix.ts';
import { run } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { swaks } from '../support/swaks.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { connectStarttls, connectTls } from '../support/tls-client.ts';

const files = ({ certFile, keyFile }: TestCertificate) => ({ cert: certFile, key: keyFile });

for (const transport of TRANSPORTS) {
  t.test(
    `${transport}: swaks and openssl, STARTTLS and implicit, SMTP and LMTP`,
    needs('openssl', 'swaks'),
    async t => {
      const authority = await createAuthority(t);
      const certificate = await authority.issue({ names: ['mx.example.net'] });
      const backend = await startScriptedBackend(
        t,
        smtp({ capabilities: ['PIPELINING', 'STARTTLS', 'SIZE 1000000'] }),
      );
      const lmtp = await startScriptedBackend(t, smtp({ greeting: '220 lmtp.example LMTP\r\n' }));
      const tls = (mode: string) => ({
        mode,
        required: mode === 'starttls',
        certificates: [files(certificate)],
      });
      const instance = await startInstance(t, transport, {
        listeners: [
          { name: 'submission', pool: 'mx', tls: tls('starttls') },
          { name: 'smtps', pool: 'mx', tls: tls('implicit') },
          { name: 'lmtp', pool: 'lmtp', tls: tls('starttls') },
        ],
        pools: [
          { name: 'mx', backends: [{ address: formatAddress(backend.address) }] },
          { name: 'lmtp', backends: [{ address: formatAddress(lmtp.address) }] },
        ],
      });
      const at = (listener: string) => instance.address(listener) as IpAddress;
      for (const [what, listener, extra] of [
        ['STARTTLS', 'submission', ['--tls']],
        ['STARTTLS, pipelined', 'submission', ['--tls', '--pipeline']],
        ['TLS 1.2', 'submission', ['--tls', '--tls-protocol', 'tlsv1_2']],
        ['implicit', 'smtps', ['--tls-on-connect']],
        ['LMTP', 'lmtp', ['--tls', '--protocol', 'LMTP']],
      ] as const) {
        const sent = await swaks(t, {
          server: at(listener),
          extra: [...extra, '--tls-sni', 'mx.example.net'],
        });
        t.equal(sent.exitCode, 0, what);
        const hello = sent.lines.findLastIndex(({ text }) => /^[EL]HLO/.test(text));
        t.equal(sent.lines[hello]?.tls, true);
        const offered = sent.lines.slice(hello).filter(({ by }) => by === 'backend');
        t.notOk(
          offered.some(({ text }) => text.includes('STARTTLS')),
          'not offered inside of it',
        );
      }
      const plain = await swaks(t, { server: at('submission') });
      t.ok(
        plain.replies.some(reply => reply.startsWith('530 5.7.0')),
        'no mail without',
      );

      for (const [listener, options] of [
        ['submission', ['-starttls', 'smtp']],
        ['smtps', []],
        ['lmtp', ['-starttls', 'lmtp', '-name', 'c.example']],
      ] as const) {
        const { stdout } = await run(t, 'openssl', [
          ...['s_client', '-connect', formatAddress(at(listener)), ...options],
          ...['-CAfile', authority.certFile, '-verify_return_error', '-servername', 'mx.example.net'],
        ]);
        t.match(stdout, /Verify return code: 0 \(ok\)/, `${listener}: openssl is content`);
      }
      const refused = await run(t, 'openssl', [
        ...['s_client', '-connect', formatAddress(at('smtps')), '-verify_return_error'],
      ]);
      t.not(refused.exitCode, 0, 'who does not trust us');
      await instance.logged('the alert', line => line['tlsFault'] === 'rejected');
      await Promise.all([backend.stop(), lmtp.stop()]);
      await instance.idle();
    },
  );

  t.test(`${transport}: implicit TLS and proxy-v2: the backend learns of it`, needs('openssl'), async t => {
    const authority = await createAuthority(t);
    const [own, client, foreign] = await Promise.all([
      authority.issue({ names: ['mx.example.net'] }),
      authority.issue({ names: ['edge-1.example.com'] }),
      createAuthority(t, 'Foreign').then(other => other.issue({ names: ['forged.example'] })),
    ]);
    const backend = await startScriptedBackend(t, async connection => {
      await connection.until(/[\s\S]{16}/);
      await connection.write('220 mx\r\n');
      await connection.until('QUIT\r\n');
      await connection.write('221 bye\r\n');
      connection.end();
    });
    const settings = (required: boolean) =>
      mx(
        [formatAddress(backend.address)],
        { identity: 'proxy-v2' },
        {
          tls: {
            mode: 'implicit',
            certificates: [files(own)],
            clientCertificates: { ca: authority.certFile, required },
          },
        },
      );
    const instance = await startInstance(t, transport, settings(false));
    const learnt = [];
    for (const certificate of [undefined, client, foreign]) {
      const session = await connectTls(t, instance.address(), {
        servername: 'mx.example.net',
        ...(certificate && { cert: certificate.cert, key: certificate.key }),
      });
      await session.expect(220);
      await session.command('QUIT', 221);
      session.end();
      await session.expectClosed('fin');
      const header = decodeProxyHeader((await backend.connection(learnt.length)).received);
      if (header.status !== 'valid') throw new Error(header.status);
      learnt.push(header.header);
    }
    const [first] = await instance.sessions(3);
    t.match(first?.['tls'], { version: 'TLSv1.3', client: undefined });
    const common = { version: 'TLSv1.3', cipher: /^TLS_/ };
    t.match(learnt, [
      { tlvs: { authority: 'mx.example.net', tls: { client: 1, verify: 1, ...common } } },
      { tlvs: { tls: { client: 7, verify: 0, commonName: 'edge-1.example.com', ...common } } },
      { tlvs: { tls: { client: 7, verify: 1, commonName: 'forged.example' } } },
    ]);
    t.match(await instance.sessions(3), [
      {},
      { tls: { client: { subject: 'CN=edge-1.example.com,O=smtplb test', verified: true } } },
      { tls: { client: { subject: 'CN=forged.example,O=smtplb test', verified: false } } },
    ]);
    instance.configure(settings(true));
    await instance.server.reload();
    const attempts = await Promise.allSettled(
      [undefined, foreign].map(async certificate => {
        const { cert, key } = certificate ?? {};
        const session = await connectTls(t, instance.address(), { ...(cert && key && { cert, key }) });
        await session.expect(220);
      }),
    );
    t.strictSame(
      attempts.map(({ status }) => status),
      ['rejected', 'rejected'],
      'required: none, or another authority',
    );
    t.match((await instance.sessions(5)).slice(3), [
      { tlsFault: 'certificate' },
      { tlsFault: 'certificate' },
    ]);
    t.equal(backend.connections.length, 3);
    await instance.idle();
  });
}

t.test(
  'Postfix behind: STARTTLS and implicit TLS, with the header that says so',
  needsRoot('postfix', 'openssl', 'swaks'),
  async t => {
    const authority = await createAuthority(t);
    const certificate = await authority.issue({ names: ['mx.example.net'] });
    const postfix = await startPostfix(t, { proxyProtocol: true });
    const listener = (name: string, mode: string) => ({
      name,
      pool: 'mx',
      tls: { mode, certificates: [files(certificate)] },
    });
    const instance = await startInstance(t, FASTEST, {
      listeners: [listener('submission', 'starttls'), listener('smtps', 'implicit')],
      pools: [{ name: 'mx', identity: 'proxy-v2', backends: [{ address: formatAddress(postfix.address) }] }],
    });
    let delivered = 0;
    for (const [name, how] of [
      ['submission', '--tls'],
      ['smtps', '--tls-on-connect'],
    ] as const) {
      const sent = await swaks(t, {
        server: instance.address(name) as IpAddress,
        extra: [how, '--pipeline'],
      });
      t.equal(sent.exitCode, 0, name);
      await eventuallyEqual('a message delivered', () => postfix.delivered(), ++delivered);
    }
    await instance.idle();
  },
);

// Files are looked at every two seconds.
t.test('a certificate replaced under load: the next handshake shows it', needs('openssl'), async t => {
  const authority = await createAuthority(t);
  const [before, after] = await Promise.all([1, 2].map(() => authority.issue({ names: ['mx.example.net'] })));
  const directory = await temporaryDirectory(t);
  const place = { cert: join(directory, 'cert.pem'), key: join(directory, 'key.pem') };
  const put = async (certificate: TestCertificate | undefined): Promise<void> => {
    await copyFile(certificate?.keyFile ?? '', place.key);
    await copyFile(certificate?.certFile ?? '', place.cert);
  };
  await put(before);
  const backend = await startScriptedBackend(t, smtp());
  const tls = { mode: 'starttls', required: true, certificates: [place] };
  const instance = await startInstance(t, FASTEST, mx([formatAddress(backend.address)], {}, { tls }));
  const trust = { ca: authority.cert, servername: 'mx.example.net', rejectUnauthorized: true };
  const shown: string[] = [];
  const mail = async (address: Address): Promise<void> => {
    const client = await connectStarttls(t, address, trust);
    shown.push(
      (client.socket as unknown as { getPeerCertificate(): { serialNumber: string } }).getPeerCertificate()
        .serialNumber,
    );
    await client.command('EHLO c', 250);
    await client.deliver();
    await client.command('QUIT', 221);
    client.end();
    await client.expectClosed('fin');
  };
  const open = await connectStarttls(t, instance.address(), trust);
  await open.command('EHLO c', 250);
  await mail(instance.address());
  const [serial] = shown;

  const isRenewed = () => shown.at(-1) !== serial;
  const load = Promise.all(
    [1, 2, 3].map(async () => {
      while (!isRenewed()) await mail(instance.address());
    }),
  );
  await put(after);
  await load;
  const count = shown.length;
  await mail(instance.address());
  t.not(shown.at(-1), serial);
  await open.deliver();
  await open.command('QUIT', 221);
  open.end();
  await open.expectClosed('fin');
  const records = await instance.sessions(count + 2);
  t.ok(
    records.every(record => record['termination'] === '-R'),
    `${records.length} sessions, none failed`,
  );
  t.notOk(
    instance.log.some(line => String(line['msg']).startsWith('certificate not reloaded')),
    'no false alarm',
  );

  await put(before);
  await copyFile(after?.keyFile ?? '', place.key);
  await instance.logged('the bad pair', line =>
    String(line['msg']).includes('the key is not that of the certificate'),
  );
  await mail(instance.address());
  t.equal((await instance.server.reload()).ok, true, 'a reload keeps the one in use');
  t.not(shown.at(-1), serial, 'the good one stays in use');
  t.notMatch(JSON.stringify(instance.log), /PRIVATE KEY/);
  await eventually(
    'one word about it',
    () =>
      instance.log.filter(line => String(line['msg']).startsWith('certificate not reloaded')).length === 1,
  );
  await instance.idle();
});
