import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import t from 'tap';
import type { IpAddress } from '../../lib/core/address.ts';
import type { StarttlsOptions } from '../../lib/health/options.ts';
import { loopback } from '../support/free-port.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { type Script, startScriptedBackend } from '../support/scripted-backend.ts';
import { type CertificateFiles, selfSigned } from './certificates.ts';
import { probed } from './probing.ts';

const VERIFIED: StarttlsOptions = { verify: true, serverName: undefined, ca: undefined };

/** An SMTP server that offers STARTTLS with this certificate. */
async function server(
  owner: Owner,
  { cert, key }: CertificateFiles,
): Promise<IpAddress & { commands: string[] }> {
  const commands: string[] = [];
  const smtp = new SMTPServer({
    cert: readFileSync(cert),
    key: readFileSync(key),
    authOptional: true,
    logger: false,
    onConnect: (_session, done) => {
      commands.push('connect');
      done();
    },
    onMailFrom: (_address, session, done) => {
      commands.push(session.secure ? 'mail in TLS' : 'mail');
      done();
    },
    onClose: () => void commands.push('close'),
  });
  smtp.on('error', error => commands.push(`error ${error.message}`));
  await new Promise<void>(resolve => smtp.listen(0, '127.0.0.1', resolve));
  owner.teardown(() => new Promise<void>(resolve => smtp.close(() => resolve())));
  return { ...loopback((smtp.server.address() as AddressInfo).port), commands };
}

t.test('certificates', needs('openssl'), async t => {
  const folder = t.testdir();
  const good = await selfSigned(t, folder, 'DNS:mx.example.net,IP:127.0.0.1');
  const at = await server(t, good);

  t.match(
    await probed(at, { starttls: { ...VERIFIED, ca: good.cert } }),
    { outcome: 'ok', certificateDaysLeft: 89, detail: /spoke TLS \(certificate valid for 89 days\)/ },
    'valid for the address',
  );
  t.match(
    await probed(at, { starttls: { ...VERIFIED, ca: good.cert, serverName: 'mx.example.net' } }),
    { outcome: 'ok' },
    'and for its name',
  );
  t.match(
    await probed(at, { starttls: { ...VERIFIED, ca: good.cert, serverName: 'mx2.example.net' } }),
    {
      outcome: 'tls-failed',
      certificateDaysLeft: 89,
      detail: /not for mx2.example.net; set check.starttls.serverName/,
    },
    'and no other',
  );
  t.match(
    await probed(at, { starttls: VERIFIED }),
    {
      outcome: 'tls-failed',
      certificateDaysLeft: 89,
      detail: /signed by itself; name it in check.starttls.ca/,
    },
    'nobody vouches for it',
  );
  t.match(
    await probed(at, { starttls: { ...VERIFIED, verify: false } }),
    { outcome: 'ok', certificateDaysLeft: 89 },
    'and nobody needs to',
  );
  t.match(
    await probed(at, { starttls: { ...VERIFIED, ca: good.cert }, mail: { from: '', to: 'x@example.net' } }),
    { outcome: 'ok', detail: /took MAIL and RCPT/ },
  );
  t.ok(at.commands.includes('mail in TLS'), 'the transaction is within TLS');
  t.same(
    at.commands.filter(word => word.startsWith('error')),
    [],
    'and the server had nothing to complain of',
  );

  const expired = await selfSigned(t, folder, 'IP:127.0.0.1', -1);
  const late = await probed(await server(t, expired), { starttls: { ...VERIFIED, ca: expired.cert } });
  t.match(late, { outcome: 'tls-failed', detail: /it has expired/ });
  t.ok((late.certificateDaysLeft ?? 0) < 0, 'the days are counted below zero');
});

t.test('authorities that cannot be read are no fault of the backend', async t => {
  const nobody = await startScriptedBackend(t, () => {});
  const folder = t.testdir();
  const none = join(folder, 'none.pem');
  t.match(await probed(nobody.address, { starttls: { ...VERIFIED, ca: none } }), {
    outcome: 'failed',
    detail: /^check.starttls.ca: .*none.pem cannot be read \(ENOENT\)$/,
  });
  const junk = join(folder, 'junk.pem');
  writeFileSync(junk, 'hello');
  t.match(await probed(nobody.address, { starttls: { ...VERIFIED, ca: junk } }), {
    outcome: 'failed',
    detail: /junk.pem holds no certificate$/,
  });
  t.equal(nobody.connections.length, 0, 'and nobody is dialled for it');
});

/** Offers STARTTLS and answers it with this; what comes then is left unanswered. */
function starttls(answer: string, capabilities = '250-mx\r\n250 STARTTLS\r\n', then?: 'close'): Script {
  return async connection => {
    await connection.write('220 mx\r\n');
    await connection.until('EHLO probe.example\r\n');
    await connection.write(capabilities);
    await connection.until('\r\n');
    await connection.write(answer);
    if (then === undefined) await connection.closed;
    else await connection.until(/[\s\S]{5}/).catch(() => {});
    connection.destroy();
  };
}

t.test('what goes wrong with STARTTLS', async t => {
  const cases: readonly [string, Script, object][] = [
    [
      'not offered',
      starttls('221 bye\r\n', '250-mx\r\n250 HELP\r\n', 'close'),
      { outcome: 'no-starttls', detail: 'does not offer STARTTLS' },
    ],
    [
      'refused',
      starttls('454 4.7.0 not now\r\n', undefined, 'close'),
      { outcome: 'no-starttls', detail: 'answered STARTTLS with "454 4.7.0 not now"' },
    ],
    [
      'injected',
      starttls('220 go\r\n250 injected\r\n', undefined, 'close'),
      { outcome: 'tls-failed', detail: /plaintext behind its 220/ },
    ],
    [
      'no TLS behind it',
      starttls('220 go\r\n', undefined, 'close'),
      { outcome: 'tls-failed', detail: /within the TLS handshake|handshake failed/ },
    ],
    [
      'stalled',
      starttls('220 go\r\n'),
      { outcome: 'timeout', detail: 'the TLS handshake was not over in time' },
    ],
  ];
  for (const [what, script, wanted] of cases) {
    const backend = await startScriptedBackend(t, script);
    // Who stalls is waited for; the others must not be timed out on a busy machine.
    const timeoutMs = what === 'stalled' ? 1_000 : 30_000;
    t.match(await probed(backend.address, { starttls: VERIFIED, timeoutMs }), wanted, what);
    await backend.idle();
  }
  const garbled = await startScriptedBackend(t, async connection => {
    await connection.write('220 mx\r\n');
    await connection.until('EHLO probe.example\r\n');
    await connection.write('250-mx\r\n250 STARTTLS\r\n');
    await connection.until('STARTTLS\r\n');
    await connection.write('220 go\r\n');
    await connection.until(/[\s\S]{5}/);
    await connection.write('250 this is no ServerHello\r\n');
    await connection.closed;
    connection.destroy();
  });
  t.match(await probed(garbled.address, { starttls: VERIFIED }), {
    outcome: 'tls-failed',
    detail: /^the TLS handshake failed \(ERR_SSL_/,
  });
  await garbled.idle();
});
