import { type ConnectionOptions, connect, createSecureContext, type TLSSocket } from 'node:tls';
import t from 'tap';
import { ipAddress } from '../../lib/core/address.ts';
import { checkPair } from '../../lib/tls/certificate-pair.ts';
import { createListenerTls, TICKET_KEY_OCTETS, type TlsSnapshot } from '../../lib/tls/listener-tls.ts';
import { createTicketKeys } from '../../lib/tls/ticket-keys.ts';
import { createNetTransport } from '../../lib/transport/net/transport.ts';
import type { TlsInfo } from '../../lib/transport/tls-contract.ts';
import { createAuthority, type TestCertificate } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';

interface Server {
  snapshot: TlsSnapshot;
  listener: string;
  readonly port: number;
  readonly infos: TlsInfo[];
}

const snapshotOf = (
  certificates: readonly TestCertificate[],
  more: Partial<TlsSnapshot> = {},
): TlsSnapshot => ({
  mode: 'implicit',
  required: false,
  certificates: certificates.map(checkPair),
  minVersion: '1.2',
  ciphers: null,
  clientCertificates: null,
  ticketKeys: createTicketKeys().keys,
  ...more,
});

/** A server that says one word inside of TLS; its snapshot may be exchanged. */
async function serve(owner: Owner, snapshot: TlsSnapshot): Promise<Server> {
  const transport = createNetTransport(() => {});
  const infos: TlsInfo[] = [];
  const listening = await transport.listen(
    ipAddress('127.0.0.1', 0) as never,
    { backlog: 16 },
    connection => {
      connection.handler = {
        onConnect() {},
        onBytes() {},
        onEnd: () => connection.end(),
        onDrain() {},
        onClose() {},
        onSecure(info) {
          infos.push(info);
          connection.write(Buffer.from('220 mx\r\n'));
        },
      };
      const { settingsFor } = createListenerTls(server.listener, server.snapshot);
      const ask = server.snapshot.clientCertificates;
      transport.secure?.(connection, {
        role: 'server',
        settingsFor,
        clientCertificates: ask === null ? 'ignored' : ask.required ? 'required' : 'optional',
      });
    },
  );
  owner.teardown(() => listening.close());
  const { port } = listening.address as { port: number };
  const server: Server = { snapshot, listener: 'mx', port, infos };
  return server;
}

/** A handshake; resolves when the first word has come, and with it the tickets of TLS 1.3. */
function handshake(
  owner: Owner,
  { port }: Server,
  options: ConnectionOptions,
): Promise<TLSSocket & { ticket?: Buffer }> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...options,
    }) as TLSSocket & {
      ticket?: Buffer;
    };
    owner.teardown(() => socket.destroy());
    socket.on('session', session => {
      socket.ticket = session;
    });
    socket.once('data', () => resolve(socket));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
}

const ticketOf = (socket: TLSSocket & { ticket?: Buffer }) => eventually('a ticket', () => socket.ticket);

const shown = (socket: TLSSocket) => {
  const certificate = socket.getPeerCertificate();
  const { name } = socket.getCipher();
  return `${certificate.subject.CN} ${certificate.asn1Curve === undefined ? 'rsa' : 'ec'} ${name}`;
};

t.test('which certificate a client is shown', needs('openssl'), async t => {
  const authority = await createAuthority(t);
  const [ec, rsa, wild, exact, other] = await Promise.all([
    authority.issue({ names: ['mx.example.net'] }),
    authority.issue({ names: ['mx.example.net'], type: 'rsa' }),
    authority.issue({ names: ['*.example.org'] }),
    authority.issue({ names: ['exact.example.org'] }),
    authority.issue({ names: ['*.example.org', 'other.example'], type: 'rsa' }),
  ]);
  const server = await serve(t, snapshotOf([ec, rsa, wild, exact, other]));
  const [ECDSA, RSA] = ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'];
  for (const [servername, ciphers, expected] of [
    ['mx.example.net', ECDSA, 'mx.example.net ec'],
    ['MX.Example.NET', RSA, 'mx.example.net rsa'],
    ['exact.example.org', ECDSA, 'exact.example.org ec'],
    ['exact.example.org', RSA, '*.example.org rsa'],
    ['a.example.org', ECDSA, '*.example.org ec'],
    ['a.b.example.org', ECDSA, 'mx.example.net ec'],
    ['example.org', RSA, 'mx.example.net rsa'],
    ['other.example', RSA, '*.example.org rsa'],
    ['unknown.example', ECDSA, 'mx.example.net ec'],
    [undefined, RSA, 'mx.example.net rsa'],
  ] as const) {
    const socket = await handshake(t, server, {
      ...(servername && { servername }),
      maxVersion: 'TLSv1.2',
      ciphers,
    });
    t.equal(shown(socket), `${expected} ${ciphers}`, `${servername} with ${ciphers}`);
  }
  t.match(shown(await handshake(t, server, { servername: 'mx.example.net' })), /^mx\.example\.net ec TLS_/);
  await t.rejects(
    handshake(t, server, { servername: 'other.example', maxVersion: 'TLSv1.2', ciphers: ECDSA }),
    /handshake failure/,
    "a name is never shown another's certificate, whatever the client's ciphers",
  );
});

t.test('versions and ciphers', needs('openssl'), async t => {
  const authority = await createAuthority(t);
  const rsa = await authority.issue({ names: ['mx.example.net'], type: 'rsa' });
  const server = await serve(t, snapshotOf([rsa]));
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  await t.rejects(handshake(t, server, old), /protocol version/);
  await t.rejects(
    handshake(t, server, { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }),
    /handshake failure/,
  );
  const dhe = await handshake(t, server, { maxVersion: 'TLSv1.2', ciphers: 'DHE-RSA-AES128-GCM-SHA256' });
  t.equal(dhe.getCipher().name, 'DHE-RSA-AES128-GCM-SHA256', 'of the intermediate profile');
  server.snapshot = snapshotOf([rsa], { minVersion: '1.3' });
  await t.rejects(handshake(t, server, { maxVersion: 'TLSv1.2' }), /protocol version/);
  server.snapshot = snapshotOf([rsa], { ciphers: 'ECDHE-RSA-AES256-GCM-SHA384' });
  const chosen = await handshake(t, server, { maxVersion: 'TLSv1.2' });
  t.equal(chosen.getCipher().name, 'ECDHE-RSA-AES256-GCM-SHA384');
  t.match((await handshake(t, server, {})).getProtocol(), 'TLSv1.3', 'and TLS 1.3 as ever');
  t.throws(() => createListenerTls('mx', snapshotOf([rsa], { ciphers: 'NONSENSE' })).tryAll(), /cipher/);
});

t.test('tickets', needs('openssl'), async t => {
  const authority = await createAuthority(t);
  const certificate = await authority.issue({ names: ['mx.example.net'] });
  const renewed = await authority.issue({ names: ['mx.example.net'] });
  const keys = createTicketKeys();
  const server = await serve(t, snapshotOf([certificate], { ticketKeys: keys.keys }));
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options = { servername: 'mx.example.net', maxVersion };
    const ticket = await ticketOf(await handshake(t, server, options));
    const resumes = async () =>
      (await handshake(t, server, { ...options, session: ticket })).isSessionReused();
    t.equal(
      await resumes(),
      true,
      `${maxVersion}: another context with the same key, as another shard or instance has`,
    );
    t.equal(server.infos.at(-1)?.resumed, true);
    server.snapshot = snapshotOf([renewed], { ticketKeys: keys.keys });
    t.equal(await resumes(), true, 'another certificate is no reason to begin anew');
    keys.rotate();
    server.snapshot = snapshotOf([renewed], { ticketKeys: keys.keys });
    t.equal(await resumes(), true, 'the key before is still accepted');
    server.listener = 'submission';
    t.equal(await resumes(), false, 'but not by another listener');
    server.listener = 'mx';
    server.snapshot = snapshotOf([renewed], {
      ticketKeys: keys.keys,
      clientCertificates: { ca: authority.cert, required: false },
    });
    t.equal(await resumes(), false, 'nor by one that has begun to ask for certificates');
    keys.rotate();
    server.snapshot = snapshotOf([renewed], { ticketKeys: keys.keys });
    t.equal(await resumes(), false, 'the one before that is forgotten');
  }
  t.equal(keys.keys.length, 2);
  t.throws(() => keys.set([new Uint8Array(47)]), RangeError);
  t.throws(() => keys.set([]), RangeError);
  keys.set([new Uint8Array(TICKET_KEY_OCTETS).fill(7)]);
  t.equal(keys.keys.length, 1);
});

t.test('a resumed session knows the certificate its client has shown', needs('openssl'), async t => {
  const authority = await createAuthority(t);
  const [own, client] = await Promise.all([
    authority.issue({ names: ['mx.example.net'] }),
    authority.issue({ names: ['edge.example'] }),
  ]);
  const server = await serve(
    t,
    snapshotOf([own], { clientCertificates: { ca: authority.cert, required: true } }),
  );
  const { cert, key } = client;
  const options = { servername: 'mx.example.net', secureContext: createSecureContext({ cert, key }) };
  const ticket = await ticketOf(await handshake(t, server, options));
  const again = await handshake(t, server, { servername: 'mx.example.net', session: ticket });
  t.equal(again.isSessionReused(), true);
  t.match(server.infos, [
    { resumed: false, peer: { verified: true, commonName: 'edge.example' } },
    { resumed: true, peer: { verified: true, commonName: 'edge.example' } },
  ]);
  await t.rejects(handshake(t, server, { servername: 'mx.example.net' }), /certificate required|closed/);
});

t.test('a client may not negotiate anew within TLS 1.2', needs('openssl'), async t => {
  const authority = await createAuthority(t);
  const server = await serve(t, snapshotOf([await authority.issue({ names: ['mx.example.net'] })]));
  const socket = await handshake(t, server, { maxVersion: 'TLSv1.2' });
  const refused = await new Promise<Error | null>(resolve => {
    socket.once('error', resolve);
    socket.renegotiate({ rejectUnauthorized: false }, resolve);
  });
  t.match(refused, { message: /no renegotiation/i });
  t.equal(server.infos.length, 1);
});
