import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import t from 'tap';
import { type Address, formatAddress, ipAddress } from '../../lib/core/address.ts';
import { mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { run } from '../support/processes.ts';
import { startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const NAME = 'backend.example.net';

interface Certificate {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/** A certificate of the backend's own: a client that trusts it and nothing else knows with whom it speaks TLS. */
async function selfSigned(owner: Owner): Promise<Certificate> {
  const directory = await temporaryDirectory(owner);
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const request = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
  ];
  const subject = ['-subj', `/CN=${NAME}`, '-addext', `subjectAltName=DNS:${NAME}`];
  const exit = await run(owner, 'openssl', [...request, ...subject, '-keyout', key, '-out', cert]);
  if (exit.exitCode !== 0) throw new Error(exit.stderr);
  return { key: await readFile(key), cert: await readFile(cert) };
}

/** A real server that offers STARTTLS; `messages` are the bodies it has taken, and whether over TLS. */
async function startMailServer(owner: Owner, certificate: Certificate) {
  const messages: { readonly body: string; readonly secure: boolean }[] = [];
  const server = new SMTPServer({
    ...certificate,
    name: NAME,
    authOptional: true,
    disableReverseLookup: true,
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', chunk => chunks.push(chunk));
      stream.on('end', () => {
        messages.push({ body: Buffer.concat(chunks).toString('latin1'), secure: session.secure });
        callback();
      });
    },
  });
  server.on('error', () => {}); // a client that does not trust it
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  owner.teardown(() => new Promise<void>(resolve => server.close(resolve)));
  const bound = server.server.address();
  const address =
    typeof bound === 'object' && bound !== null ? ipAddress(bound.address, bound.port) : undefined;
  if (address === undefined) throw new Error('a mail server without an address');
  return { address, messages };
}

function mailer(address: Address, ca: Buffer) {
  const port = address.family === 'unix' ? 0 : address.port;
  return createTransport({
    host: '127.0.0.1',
    port,
    name: 'client.example',
    requireTLS: true,
    tls: { ca, servername: NAME },
  });
}

/** Lines that must not be mistaken for STARTTLS, and some that are; the backend's reply is what the backend likes. */
const SPELLINGS: readonly (readonly [text: string, reply: string, starttls: string])[] = [
  ['STARTTLS\r\n', '220 go\r\n', 'accepted'],
  ['sTaRtTlS\r\n', '220 go\r\n', 'accepted'],
  ['STARTTLS \t\r\n', '220 go\r\n', 'accepted'],
  ['STARTTLS\r\n', '454 4.7.0 not now\r\n', 'refused'],
  ['STARTTLS\n', '220 go\r\n', 'offered'],
  ['STARTTLS\r', '', 'offered'],
  ['\nSTARTTLS\r\n', '220 go\r\n', 'offered'],
  ['STARTTLS\0\r\n', '501 no\r\n', 'offered'],
  ['STARTTLS now\r\n', '501 no\r\n', 'offered'],
  ['STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n', '220 go\r\n', 'accepted'],
  ['NOOP\r\nSTARTTLS\r\n', '250 ok\r\n220 go\r\n', 'offered'],
];

const OFFER = '250-mx.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n';
/** No TLS: what follows is not smtplb's to understand. */
const BINARY = Buffer.from(Array.from({ length: 1_000 }, (_, at) => (at * 31) & 0xff));

for (const transport of TRANSPORTS) {
  t.test(`${transport}: STARTTLS in every spelling passes unchanged, and so does all behind it`, async t => {
    const replies: string[] = [];
    const backend = await startScriptedBackend(t, async connection => {
      const [text = '', reply = ''] = SPELLINGS[Math.floor(connection.index / 2)] ?? [];
      await connection.write('220 mx.example ESMTP\r\n');
      await connection.until('EHLO c.example\r\n');
      await connection.write(OFFER);
      await connection.until(text);
      await connection.write(reply);
      await connection.until(/[\s\S]{1000}/);
      await connection.write(BINARY);
      await connection.closed;
      connection.end();
    });
    const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
    let number = 0;
    for (const [text, reply, starttls] of SPELLINGS) {
      for (const cut of [false, true]) {
        const client = await connectClient(t, instance.address());
        await client.expect(220);
        await client.command('EHLO c.example', 250);
        await client.writePieces(cut ? [...text] : [text]);
        await client.until(reply);
        await client.write(BINARY);
        await client.until(BINARY.toString('latin1'));
        client.end();
        await client.expectClosed('fin');
        const what = `${JSON.stringify(text)}${cut ? ', byte by byte' : ''}`;
        const heard = Buffer.concat([Buffer.from(`EHLO c.example\r\n${text}`, 'latin1'), BINARY]);
        t.ok(backend.connections[number]?.received.equals(heard), `${what}: unchanged at the backend`);
        const answered = Buffer.from(`220 mx.example ESMTP\r\n${OFFER}${reply}`, 'latin1');
        t.ok(client.received.equals(Buffer.concat([answered, BINARY])), `${what}: unchanged at the client`);
        replies.push(starttls);
        number++;
      }
    }
    const records = await instance.sessions(number);
    t.strictSame(
      records.map(record => record['starttls']),
      replies,
      'the records tell what became of it',
    );
    const metrics = await instance.metrics();
    t.equal(metrics.value('smtplb_starttls_offered_total', { listener: 'mx' }), number);
    const used = replies.filter(starttls => starttls === 'accepted').length;
    t.equal(metrics.value('smtplb_starttls_used_total', { listener: 'mx' }), used);
    t.equal(backend.faults.length, 0);
    await instance.idle();
    t.comment(`${number} sessions, STARTTLS used in ${used}`);
  });

  t.test(`${transport}: nodemailer to smtp-server over STARTTLS, end to end`, needs('openssl'), async t => {
    const certificate = await selfSigned(t);
    const servers = [await startMailServer(t, certificate), await startMailServer(t, certificate)];
    const instance = await startInstance(
      t,
      transport,
      mx(
        servers.map(({ address }) => formatAddress(address)),
        { balance: 'round-robin' },
      ),
    );
    const bodies = Array.from({ length: 6 }, (_, at) => `message ${at} `.padEnd(20_000 * (at + 1), 'x'));
    await Promise.all(
      bodies.map(async text => {
        const sent = await mailer(instance.address(), certificate.cert).sendMail({
          envelope: { from: 'from@example.org', to: ['to@example.com'] },
          raw: `Subject: test\r\n\r\n${text.replace(/.{70}/g, '$&\r\n')}\r\n`,
        });
        t.match(sent.response, /^250/);
      }),
    );
    const messages = servers.flatMap(server => server.messages);
    t.equal(messages.length, bodies.length, 'each message once');
    t.ok(
      messages.every(message => message.secure),
      'each over TLS',
    );
    t.ok(
      servers.every(server => server.messages.length > 0),
      'at both backends',
    );
    t.strictSame(
      messages.map(({ body }) => body.split('\r\n\r\n')[1]?.replace(/\r\n/g, '')).sort(),
      [...bodies].sort(),
      'unchanged',
    );
    for (const record of await instance.sessions(bodies.length)) {
      t.match(record, {
        starttls: 'accepted',
        hello: 'EHLO',
        helloName: 'client.example',
        greetingCode: 220,
      });
      t.ok((record['capabilities'] as string[]).includes('STARTTLS'));
    }
    const metrics = await instance.metrics();
    t.equal(metrics.value('smtplb_starttls_offered_total'), bodies.length);
    t.equal(metrics.value('smtplb_starttls_used_total'), bodies.length);
    await instance.idle();
  });

  t.test(`${transport}: the certificate a client sees is the backend's`, needs('openssl'), async t => {
    const certificate = await selfSigned(t);
    const stranger = await selfSigned(t);
    const server = await startMailServer(t, certificate);
    const instance = await startInstance(t, transport, mx([formatAddress(server.address)]));
    await t.rejects(
      mailer(instance.address(), stranger.cert).sendMail({
        from: 'a@b.example',
        to: 'c@d.example',
        text: 'x',
      }),
      /self-signed|certificate/,
      'who trusts another is not fooled',
    );
    t.equal(server.messages.length, 0);

    const { address } = server;
    const fingerprints: string[] = [];
    for (const at of [address, instance.address()]) {
      const { stdout } = await run(t, 'openssl', [
        ...['s_client', '-starttls', 'smtp', '-connect', formatAddress(at), '-servername', NAME],
      ]);
      fingerprints.push(
        /-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----/.exec(stdout)?.[0] ?? '',
      );
    }
    t.equal(fingerprints[0]?.replace(/\s+$/, ''), certificate.cert.toString('latin1').trim());
    t.equal(fingerprints[1], fingerprints[0], 'the same directly and through smtplb');
    t.match(await instance.sessions(2), [{ starttls: 'accepted' }, { starttls: 'accepted' }]);
    await instance.idle();
  });
}
