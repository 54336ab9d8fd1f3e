/** What a listener's TLS settings, and its clients' certificates, come to: the same on every transport. */
import { connect as connectPlain } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import t from 'tap';
import type { IpAddress } from '../../lib/core/address.ts';
import type { ServerTlsSettings, TlsServerOptions } from '../../lib/transport/tls-contract.ts';
import { createAuthority } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import { openWorld, TRANSPORTS } from './peers.ts';
import { serverSettings } from './tls-settings.ts';

t.test('settings of TLS with clients', needs('openssl', 'faketime'), async t => {
  const authority = await createAuthority(t);
  const leaf = await authority.issue({ names: ['mx.example.net'] });
  const nameless = await authority.issue({ names: ['nameless.example'], subject: '/' });
  const expired = await authority.issue({ names: ['old.example'], days: 1, issued: '-40d' });
  const good = serverSettings([leaf], { clientAuthorities: authority.cert });
  const labelled = (pem: string, label: string): string =>
    pem.replaceAll(' CERTIFICATE', ` ${label} CERTIFICATE`);

  /** What is set, what the client does, and what becomes of it. */
  const cases: readonly (readonly [
    name: string,
    settings: Partial<ServerTlsSettings>,
    asked: TlsServerOptions['clientCertificates'],
    client: ConnectionOptions,
    expected: object,
  ])[] = [
    [
      'suites of TLS 1.3 alone',
      { ciphers: 'TLS_AES_128_GCM_SHA256' },
      'ignored',
      {},
      { info: { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' } },
    ],
    [
      'suites of TLS 1.3 alone, and a client that knows none',
      { ciphers: 'TLS_AES_128_GCM_SHA256' },
      'ignored',
      { maxVersion: 'TLSv1.2' },
      { fault: { code: 'version' } },
    ],
    [
      'suites of both',
      { ciphers: 'TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384' },
      'ignored',
      { maxVersion: 'TLSv1.2' },
      { info: { version: 'TLSv1.2', cipher: 'ECDHE-ECDSA-AES256-GCM-SHA384' } },
    ],
    ...['X509', 'TRUSTED'].map(
      label =>
        [
          `certificates as ${label} CERTIFICATE`,
          {
            pairs: [{ cert: labelled(leaf.cert, label), key: leaf.key }],
            clientAuthorities: labelled(authority.cert, label),
          },
          'required',
          { cert: leaf.cert, key: leaf.key },
          { info: { peer: { verified: true } } },
        ] as const,
    ),
    [
      'a client certificate without a subject',
      {},
      'required',
      { cert: nameless.cert, key: nameless.key },
      { info: { peer: { verified: true, subject: '', commonName: null, names: 'DNS:nameless.example' } } },
    ],
    [
      'one that has expired, where any will do',
      {},
      'optional',
      { cert: expired.cert, key: expired.key },
      { info: { peer: { verified: false, fault: 'CERT_HAS_EXPIRED', commonName: 'old.example' } } },
    ],
    [
      'one that has expired, where a good one is required',
      {},
      'required',
      { cert: expired.cert, key: expired.key },
      { fault: { code: 'certificate', text: "the client's certificate is not accepted: CERT_HAS_EXPIRED" } },
    ],
  ];

  for (const name of TRANSPORTS)
    t.test(name, async t => {
      const world = openWorld(t, name, true);
      const listening = await world.listen();
      const { port } = listening.address as IpAddress;
      for (const [what, settings, clientCertificates, client, expected] of cases) {
        const own = { ...good, ...settings };
        const plain = connectPlain(port, '127.0.0.1');
        const accepted = await listening.accept();
        world.transport.secure?.(accepted.connection, {
          role: 'server',
          settingsFor: () => own,
          clientCertificates,
        });
        const socket = connectTls({ ...client, socket: plain, rejectUnauthorized: false });
        socket.on('error', () => {});
        t.teardown(() => socket.destroy());
        const { info, fault } = await eventually(what, () => {
          const { told } = accepted;
          return told.events.length > 0 && { info: told.info, fault: told.fault };
        });
        t.match({ info, fault }, expected, what);
      }
      t.strictSame(world.faults, []);
    });
});
