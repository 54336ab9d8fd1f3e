import { X509Certificate } from 'node:crypto';
import type { SMTPServerOptions } from 'smtp-server';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { createAuthority } from '../support/certificates.ts';
import { mx, startInstance } from '../support/instance.ts';
import { pair, startMailServer } from '../support/mail-server.ts';
import { needs } from '../support/needs.ts';

t.test('checks speak TLS as sessions do', needs('openssl'), async t => {
  const authority = await createAuthority(t);
  const certificate = await authority.issue({ names: ['mx.example'] });
  const pinned = new X509Certificate(certificate.cert).fingerprint256;
  const check = { type: 'smtp', interval: '100ms', rise: 1, fall: 1 };
  for (const mode of ['starttls', 'implicit'] as const) {
    const server = await startMailServer(t, { secure: mode === 'implicit', ...pair(certificate) });
    for (const [settings, outcome] of [
      [{ ca: authority.certFile, serverName: 'mx.example' }, 'ok'],
      [{ fingerprints: [pinned] }, 'ok'],
      [{ ca: authority.certFile, serverName: 'www.example' }, 'tls-failed'],
      [{ fingerprints: ['00'.repeat(32)] }, 'tls-failed'],
    ] as const) {
      const tls = { mode, ...settings };
      const instance = await startInstance(t, 'net', mx([formatAddress(server.address)], { tls, check }));
      const line = await instance.logged('a check', ({ msg }) => msg === 'check');
      t.match(line, { outcome }, `${mode} ${JSON.stringify(settings)}`);
    }
  }
});

t.test('checks obey minVersion and show the certificate that sessions show', needs('openssl'), async t => {
  const authority = await createAuthority(t);
  const certificate = await authority.issue({ names: ['mx.example'] });
  const own = await authority.issue({ names: ['lb.example'] });
  const check = { type: 'smtp', interval: '100ms', rise: 1, fall: 1 };
  const asking = { requestCert: true, rejectUnauthorized: true, ca: [authority.cert], maxVersion: 'TLSv1.2' };
  const server = await startMailServer(t, {
    secure: true,
    ...pair(certificate),
    ...asking,
  } as SMTPServerOptions);
  const trust = { mode: 'implicit', ca: authority.certFile, serverName: 'mx.example' };
  const shown = { cert: own.certFile, key: own.keyFile };
  for (const [settings, outcome] of [
    [{ certificate: shown }, 'ok'],
    [{ certificate: shown, minVersion: '1.3' }, 'tls-failed'],
    [{}, 'tls-failed'],
  ] as const) {
    const tls = { ...trust, ...settings };
    const instance = await startInstance(t, 'net', mx([formatAddress(server.address)], { tls, check }));
    const line = await instance.logged('a check', ({ msg }) => msg === 'check');
    t.match(line, { outcome }, JSON.stringify(settings));
  }
});
