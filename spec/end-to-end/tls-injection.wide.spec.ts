import { createServer } from 'node:net';
import { TLSSocket } from 'node:tls';
import t from 'tap';
import { type Address, formatAddress, ipAddress } from '../../lib/core/address.ts';
import { createAuthority, type TestCertificate } from '../support/certificates.ts';
import { mx, startInstance, WITH_NET } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { connectTls, upgrade } from '../support/tls-client.ts';

/** A mail from somebody else, in plaintext. */
const JUNK = 'EHLO evil.example\r\nMAIL FROM:<evil@example.org>\r\n';
const HELLO = 'EHLO c.example\r\n';

/** What is sent in plaintext, piece by piece, each in a segment of its own; `~` waits for a reply to come. */
const MATRIX: readonly (readonly [what: string, pieces: readonly string[]])[] = [
  ['in one segment', ['~', HELLO, '~', `STARTTLS\r\n${JUNK}`]],
  ['EHLO, STARTTLS and more in one segment', ['~', `${HELLO}STARTTLS\r\n${JUNK}`]],
  ['in two segments', ['~', HELLO, '~', 'STARTTLS\r\n', JUNK]],
  ['CRLF split', ['~', HELLO, '~', 'STARTTLS\r', `\n${JUNK}`]],
  ['any case, blanks', ['~', HELLO, '~', `sTaRtTlS \t\r\n${JUNK}`]],
  ['before the greeting', [`${HELLO}STARTTLS\r\n${JUNK}`]],
  ['one octet', ['~', HELLO, '~', 'STARTTLS\r\n\r']],
  ['a ClientHello in the same segment', ['~', HELLO, '~', `STARTTLS\r\n\x16\x03\x01\x02\x00`]],
];

/**
 * A server as they were before 2011: what came behind STARTTLS stays in its buffer, and is read after the handshake as if
 * it had come inside of it (CVE-2011-0411). It shows what the tests below look for.
 */
async function startWeakServer(owner: Owner, { cert, key }: TestCertificate) {
  const heard: string[] = [];
  const server = createServer(plain => {
    let buffer = '';
    let socket: typeof plain = plain;
    plain.on('error', () => {});
    owner.teardown(() => plain.destroy());
    const work = (secure: boolean): void => {
      for (let end = buffer.indexOf('\r\n'); end >= 0; end = buffer.indexOf('\r\n')) {
        const line = buffer.slice(0, end);
        buffer = buffer.slice(end + 2);
        if (/^STARTTLS\s*$/i.test(line) && !secure) {
          socket.write('220 go\r\n');
          plain.removeAllListeners('data');
          socket = new TLSSocket(plain, { isServer: true, cert, key });
          socket.on('error', () => {});
          socket.on('secure', () => work(true));
          socket.on('data', more);
          return;
        }
        if (secure) heard.push(line);
        socket.write(line.startsWith('EHLO') ? '250-weak\r\n250 STARTTLS\r\n' : '250 ok\r\n');
      }
    };
    const more = (bytes: Buffer): void => {
      buffer += bytes.toString('latin1');
      work(socket !== plain);
    };
    plain.on('data', more);
    plain.write('220 weak\r\n');
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  owner.teardown(() => server.close());
  const bound = server.address() as { port: number };
  return { address: ipAddress('127.0.0.1', bound.port) as Address, heard };
}

/**
 * Sends the pieces, then does a handshake if the other side will have it, and says NOOP in it. Returns what the other side
 * said inside of TLS by then, or null where there was none.
 */
async function attack(owner: Owner, address: Address, pieces: readonly string[]): Promise<string | null> {
  const client = await connectClient(owner, address);
  for (const piece of pieces) {
    if (piece === '~') await client.reply();
    else await client.writePieces([piece]);
  }
  const go = await client.until(/220 (?:2\.0\.0|go)[^\n]*\n/).catch(() => null);
  const secure = go === null ? null : await upgrade(owner, client).catch(() => null);
  if (secure === null) return null;
  await secure.send('NOOP');
  await secure.until('\r\n').catch(() => '');
  secure.end();
  return secure.received.toString('latin1');
}

t.test('STARTTLS injection', needs('openssl'), async t => {
  const authority = await createAuthority(t);
  const certificate = await authority.issue({ names: ['mx.example.net'] });

  t.test('a weak server falls for it: these attacks can succeed', async t => {
    let fallen = 0;
    for (const [, pieces] of MATRIX) {
      const weak = await startWeakServer(t, certificate);
      await attack(t, weak.address, pieces);
      if (weak.heard.some(line => line.includes('evil'))) fallen++;
    }
    t.ok(fallen >= 4, `${fallen} of ${MATRIX.length} succeed`);
  });

  for (const transport of WITH_NET) {
    for (const required of [false, true]) {
      t.test(
        `${transport}: ended here, ${required ? 'required' : 'not required'}: none succeeds`,
        async t => {
          const backend = await startScriptedBackend(t, smtp());
          const tls = {
            mode: 'starttls',
            required,
            certificates: [{ cert: certificate.certFile, key: certificate.keyFile }],
          };
          const instance = await startInstance(
            t,
            transport,
            mx([formatAddress(backend.address)], {}, { tls }),
          );
          for (const [what, pieces] of MATRIX) {
            t.equal(await attack(t, instance.address(), pieces), null, `${what}: no TLS after it`);
          }
          const records = await instance.sessions(MATRIX.length);
          t.strictSame(
            records.map(record => record['cause']),
            MATRIX.map(() => 'tls-injection'),
            'and each is counted',
          );
          for (const { received } of backend.connections) {
            t.notMatch(received.toString('latin1'), /evil|STARTTLS/i, 'nothing of it reaches a backend');
          }
          const metrics = await instance.metrics();
          t.equal(metrics.sum('smtplb_sessions_total', { cause: 'tls-injection' }), MATRIX.length);
          await instance.idle();
        },
      );
    }

    t.test(`${transport}: passed through: every byte reaches the backend, whose guard it is`, async t => {
      const received: string[] = [];
      const backend = await startScriptedBackend(t, async connection => {
        await connection.write('220 mx\r\n');
        await connection.until(HELLO);
        await connection.write('250-mx\r\n250 STARTTLS\r\n');
        await connection.closed;
        connection.end();
      });
      const instance = await startInstance(t, transport, mx([formatAddress(backend.address)]));
      for (const [at, [what, pieces]] of MATRIX.entries()) {
        const client = await connectClient(t, instance.address());
        for (const piece of pieces) {
          if (piece === '~') await client.reply();
          else await client.writePieces([piece]);
        }
        client.end();
        const connection = await backend.connection(at);
        await connection.expectClosed('fin');
        received.push(connection.received.toString('latin1'));
        t.equal(received.at(-1), pieces.filter(piece => piece !== '~').join(''), `${what}: unchanged`);
        const record = (await instance.sessions(at + 1))[at];
        t.equal(record?.['starttls'] === 'accepted', false, 'and it is not taken for TLS');
      }
    });

    t.test(`${transport}: bare LF and arguments do not switch`, async t => {
      const backend = await startScriptedBackend(t, smtp());
      const tls = {
        mode: 'starttls',
        certificates: [{ cert: certificate.certFile, key: certificate.keyFile }],
      };
      const instance = await startInstance(t, transport, mx([formatAddress(backend.address)], {}, { tls }));
      for (const [text, reply] of [
        ['STARTTLS\nMAIL FROM:<evil@example.org>\r\n', /^500 5\.5\.2 /],
        ['STARTTLS\rMAIL FROM:<evil@example.org>\r\n', /^500 5\.5\.2 /],
        ['STARTTLS\0\r\n', /^500 5\.5\.2 /],
        ['STARTTLS now\r\n', /^501 5\.5\.4 /],
        ['NOOP\nSTARTTLS\r\n', /^500 5\.5\.2 /],
      ] as const) {
        const client = await connectClient(t, instance.address());
        await client.expect(220);
        await client.command('EHLO c.example', 250);
        await client.write(text);
        await client.expect(reply);
        await client.command('NOOP', 250);
        await client.command('QUIT', 221);
        await client.expectClosed('fin');
        client.end();
      }
      for (const { received } of backend.connections)
        t.notMatch(received.toString('latin1'), /evil|STARTTLS/);
      await instance.idle();
    });

    t.test(`${transport}: implicit: bytes before the handshake are no part of what follows`, async t => {
      const backend = await startScriptedBackend(t, smtp());
      const tls = {
        mode: 'implicit',
        certificates: [{ cert: certificate.certFile, key: certificate.keyFile }],
      };
      const instance = await startInstance(t, transport, mx([formatAddress(backend.address)], {}, { tls }));
      const client = await connectClient(t, instance.address());
      await client.write(JUNK);
      t.equal(await upgrade(t, client).catch(() => null), null);
      // STARTTLS inside of TLS does not switch, so nothing behind it is special.
      const secure = await connectTls(t, instance.address());
      await secure.expect(220);
      await secure.write(`${HELLO}STARTTLS\r\nNOOP\r\n`);
      await secure.expect(250);
      await secure.expect(/^503 5\.5\.1 /);
      await secure.expect(250);
      await secure.command('QUIT', 221);
      await secure.expectClosed('fin');
      secure.end();
      t.match(await instance.sessions(2), [{ cause: 'tls-failed', tlsFault: 'not-tls', backend: null }, {}]);
      t.equal(backend.connections.length, 1);
      await instance.idle();
    });
  }
});
