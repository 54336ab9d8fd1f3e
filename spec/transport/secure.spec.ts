import { randomBytes } from 'node:crypto';
import { type AddressInfo, connect as connectPlain, createServer } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import t from 'tap';
import type { IpAddress } from '../../lib/core/address.ts';
import type { Transport } from '../../lib/transport/contract.ts';
import type {
  ClientTlsSettings,
  TlsClientOptions,
  TlsServerOptions,
} from '../../lib/transport/tls-contract.ts';
import { createAuthority, type TestCertificate } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { addresses, LOOPBACK, openWorld, type Pair, type Side, type World } from './peers.ts';
import { serverSettings } from './tls-settings.ts';

const secure = (
  { connection }: Side,
  { secure }: Transport,
  options: TlsServerOptions | TlsClientOptions,
): void => secure?.(connection, options);

/** Which transport accepts, and which one dials. */
const CASES = [
  ['net', 'net'],
  ['epoll', 'epoll'],
  ['io_uring', 'io_uring'],
  ['io_uring', 'net'],
  ['net', 'epoll'],
] as const;

function trusting(
  ca: string,
  certificate: { readonly cert: string; readonly key: string } | null = null,
): ClientTlsSettings {
  return { ca, certificate, minVersion: '1.2' };
}

for (const [name, other] of CASES)
  t.test(`${name}, dialled by ${other}: TLS on a connection`, needs('openssl'), async t => {
    const dialler = openWorld(t, other, true);
    const dialling = dialler.transport;
    const authority = await createAuthority(t);
    const leaf = await authority.issue({ names: ['mx.example.net'] });
    const starred = await authority.issue({ names: ['*.example.org'], type: 'rsa' });
    const client = await authority.issue({ names: ['edge-1.example.com'] });
    const stranger = await createAuthority(t, 'Stranger');
    const ofLeaf = serverSettings([leaf], { clientAuthorities: authority.cert });
    const ofOther = serverSettings([starred], { clientAuthorities: authority.cert });
    const pairOf = (world: World, address = LOOPBACK): Promise<Pair> => world.pair(address, dialling);
    const server = (options: Partial<TlsServerOptions> = {}): TlsServerOptions => ({
      role: 'server',
      settingsFor: ({ serverName }) => (serverName === 'a.example.org' ? ofOther : ofLeaf),
      clientCertificates: 'ignored',
      ...options,
    });
    const asClient = (serverName = 'mx.example.net', settings = trusting(authority.cert)) =>
      ({ role: 'client', serverName, settings }) as const;

    const both = (
      { transport }: { readonly transport: Transport },
      { accepted, dialled }: Pair,
      asked = server(),
      asking: TlsClientOptions = asClient(),
    ): void => {
      secure(accepted, transport, asked);
      secure(dialled, dialling, asking);
    };

    for (const [kind, address] of addresses(await temporaryDirectory(t))) {
      t.test(`${kind}: bytes both ways, half-closes, and what each side learns`, async t => {
        const world = openWorld(t, name, true);
        const pair = await pairOf(world, address);
        const { accepted, dialled } = pair;
        dialled.connection.write(Buffer.from('STARTTLS\r\n'));
        t.equal(String(await accepted.told.received(10)), 'STARTTLS\r\n');
        accepted.connection.write(Buffer.from('220 go\r\n'));
        t.equal(String(await dialled.told.received(8)), '220 go\r\n');
        both(world, pair);
        await accepted.told.came('secure');
        await dialled.told.came('secure');
        t.match(accepted.told.info, {
          version: 'TLSv1.3',
          serverName: 'mx.example.net',
          peer: null,
          resumed: false,
        });
        t.match(dialled.told.info, {
          version: 'TLSv1.3',
          cipher: /^TLS_/,
          peer: {
            verified: true,
            fault: null,
            commonName: 'mx.example.net',
            subject: 'CN=mx.example.net,O=smtplb test',
          },
        });
        t.match(dialled.told.info?.peer?.fingerprint, /^[0-9a-f]{64}$/);
        const [up, down] = [randomBytes(300_000), randomBytes(400_000)];
        dialled.connection.write(up);
        accepted.connection.write(down);
        dialled.connection.end();
        await accepted.told.came('end');
        t.ok(
          up.equals((await accepted.told.received(up.length + 10)).subarray(10)),
          'all that was sent before the end',
        );
        t.ok(down.equals((await dialled.told.received(down.length + 8)).subarray(8)));
        accepted.connection.write(Buffer.from('more'));
        accepted.connection.end();
        t.equal(await dialled.told.closed(), 'ended');
        t.equal(await accepted.told.closed(), 'ended');
        t.equal(String(dialled.told.bytes.subarray(-4)), 'more', 'a half-close leaves the other half');
        t.strictSame(world.faults, []);
      });
    }

    t.test('a peer that resets, and a reset passed on', async t => {
      const world = openWorld(t, name, true);
      for (const who of ['accepted', 'dialled'] as const) {
        const pair = await pairOf(world);
        both(world, pair);
        await pair.accepted.told.came('secure');
        await pair.dialled.told.came('secure');
        // Tickets follow the handshake, and Node does not tell of a reset right behind them.
        pair.accepted.connection.write(Buffer.from('x'));
        await pair.dialled.told.received(1);
        pair[who].connection.reset();
        t.equal(await pair[who === 'accepted' ? 'dialled' : 'accepted'].told.closed(), 'reset');
      }
    });

    t.test('a slow reader makes the writer wait, and all of it arrives', async t => {
      const world = openWorld(t, name, true);
      const pair = await pairOf(world);
      both(world, pair);
      await pair.dialled.told.came('secure');
      await pair.accepted.told.came('secure');
      pair.accepted.connection.pause();
      const chunk = randomBytes(65_536);
      let written = 0;
      while (pair.dialled.connection.write(chunk)) written++;
      t.ok(written * chunk.length < 64 * 1_048_576, `told to wait after ${written} chunks`);
      pair.accepted.connection.resume();
      await pair.dialled.told.came('drain');
      await pair.accepted.told.received((written + 1) * chunk.length);
    });

    t.test('a relay between a TLS connection and a plain one', async t => {
      const world = openWorld(t, name, true);
      const [front, back] = [await pairOf(world), await world.pair()];
      both(world, front);
      await front.accepted.told.came('secure');
      await front.dialled.told.came('secure');
      const relay = world.transport.relay(front.accepted.connection, back.dialled.connection, {
        onRelayEnd() {},
      });
      const [up, down] = [randomBytes(500_000), randomBytes(500_000)];
      front.dialled.connection.write(up);
      front.dialled.connection.end();
      back.accepted.connection.write(down);
      t.ok(up.equals(await back.accepted.told.received(up.length)));
      await back.accepted.told.came('end');
      back.accepted.connection.end();
      t.ok(down.equals(await front.dialled.told.received(down.length)));
      t.equal(await front.dialled.told.closed(), 'ended');
      t.strictSame(
        [relay.bytesFromFirst, relay.bytesFromSecond],
        [up.length, down.length],
        'counted inside of TLS',
      );
    });

    t.test('the certificate follows the server name, and its bytes may be cut anywhere', async t => {
      const world = openWorld(t, name, true);
      for (const [serverName, subject] of [
        ['a.example.org', '*.example.org'],
        ['elsewhere.example', 'mx.example.net'],
      ] as const) {
        const listening = await world.listen();
        const { port } = listening.address as IpAddress;
        const plain = connectPlain(await dribbleTo(t, port), '127.0.0.1');
        const accepted = await listening.accept();
        secure(accepted, world.transport, server());
        const socket = connectTls({ socket: plain, servername: serverName, rejectUnauthorized: false });
        t.teardown(() => socket.destroy());
        await eventually('a secure client', () => socket.getPeerCertificate()?.subject);
        t.equal(socket.getPeerCertificate().subject.CN, subject);
        await accepted.told.came('secure');
        t.equal(accepted.told.info?.serverName, serverName);
      }
    });

    t.test('client certificates', async t => {
      const world = openWorld(t, name, true);
      const certified = (certificate: TestCertificate) =>
        asClient('mx.example.net', trusting(authority.cert, certificate));
      const foreign = await stranger.issue({ names: ['stranger.example'] });
      for (const [asked, asking, expected] of [
        ['optional', certified(client), { verified: true, fault: null, commonName: 'edge-1.example.com' }],
        [
          'optional',
          certified(foreign),
          { verified: false, fault: /UNABLE_TO/, commonName: 'stranger.example' },
        ],
        ['optional', asClient(), null],
        ['required', certified(client), { verified: true, commonName: 'edge-1.example.com' }],
      ] as const) {
        const pair = await pairOf(world);
        both(world, pair, server({ clientCertificates: asked }), asking);
        await pair.accepted.told.came('secure');
        t.match(pair.accepted.told.info?.peer, expected as never);
      }
      for (const asking of [asClient(), certified(foreign)]) {
        const pair = await pairOf(world);
        both(world, pair, server({ clientCertificates: 'required' }), asking);
        t.equal(await pair.accepted.told.closed(), 'tls-failed');
        t.equal(pair.accepted.told.fault?.code, 'certificate');
      }
    });

    t.test("what a backend's certificate is worth", async t => {
      const world = openWorld(t, name, true);
      for (const [asking, verified, fault] of [
        [asClient('mx.example.net'), true, null],
        [asClient('a.example.org'), true, null],
        [asClient('b.example.net'), false, 'ERR_TLS_CERT_ALTNAME_INVALID'],
        [asClient('127.0.0.1'), false, 'ERR_TLS_CERT_ALTNAME_INVALID'],
        [asClient('mx.example.net', trusting(stranger.cert)), false, 'SELF_SIGNED_CERT_IN_CHAIN'],
      ] as const) {
        const pair = await pairOf(world);
        both(world, pair, server(), asking);
        await pair.dialled.told.came('secure');
        t.match(pair.dialled.told.info?.peer, { verified, fault }, `${asking.serverName}: ${fault}`);
      }
    });

    t.test('why a handshake failed', async t => {
      const world = openWorld(t, name, true);
      const failing = async (asked: TlsServerOptions, asking: ConnectionOptions | string | null) => {
        const listening = await world.listen();
        const { port } = listening.address as IpAddress;
        const plain = connectPlain(port, '127.0.0.1');
        plain.on('error', () => {});
        t.teardown(() => plain.destroy());
        const accepted = await listening.accept();
        secure(accepted, world.transport, asked);
        if (asking === null) plain.end();
        else if (typeof asking === 'string') plain.write(asking);
        else connectTls({ ...asking, socket: plain }).on('error', () => {});
        t.equal(await accepted.told.closed(), 'tls-failed');
        return accepted.told.fault;
      };
      t.equal((await failing(server(), 'MAIL FROM:<a@example.org>\r\n'))?.code, 'not-tls');
      t.equal((await failing(server(), 'GET / HTTP/1.1\r\n\r\n'))?.code, 'not-tls');
      t.equal((await failing(server(), null))?.code, 'closed');
      t.equal(
        (await failing(server(), { servername: 'mx.example.net' }))?.code,
        'closed',
        'who does not trust us',
      );
      const modern = () => serverSettings([leaf], { minVersion: '1.3' });
      t.equal((await failing(server({ settingsFor: modern }), { maxVersion: 'TLSv1.2' }))?.code, 'version');
      const only = () => serverSettings([leaf], { ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' });
      t.equal((await failing(server({ settingsFor: only }), { maxVersion: 'TLSv1.2' }))?.code, 'cipher');
    });

    t.test('a backend that answers plaintext, resets, or closes within the handshake', async t => {
      const world = openWorld(t, name, true);
      for (const [deed, reason, code] of [
        ['plaintext', 'tls-failed', 'not-tls'],
        ['close', 'tls-failed', 'closed'],
        ['reset', 'reset', undefined],
      ] as const) {
        const { accepted, dialled } = await pairOf(world);
        secure(dialled, dialling, asClient());
        await accepted.told.received(1);
        if (deed === 'plaintext') accepted.connection.write(Buffer.from('250 smuggled\r\n'));
        else if (deed === 'close') accepted.connection.end();
        else accepted.connection.reset();
        t.equal(await dialled.told.closed(), reason, deed);
        t.equal(dialled.told.fault?.code, code, dialled.told.fault?.text ?? '');
        t.equal(dialled.told.bytes.length, 0, 'nothing of it is handed up');
      }
    });

    t.test('destroyed within the handshake: no further word', async t => {
      const world = openWorld(t, name, true);
      const pair = await pairOf(world);
      secure(pair.accepted, world.transport, server());
      secure(pair.dialled, dialling, asClient());
      pair.accepted.connection.destroy();
      await pair.dialled.told.closed();
      t.strictSame(pair.accepted.told.events, []);
    });
  });

/** A loopback port that passes bytes on to `port` an octet at a time, and back as they come. */
async function dribbleTo(owner: Owner, port: number): Promise<number> {
  const server = createServer(near => {
    const far = connectPlain(port, '127.0.0.1').setNoDelay(true);
    for (const socket of [near, far]) socket.on('error', () => {});
    near.on('data', bytes => {
      for (const octet of bytes) far.write(Uint8Array.of(octet));
    });
    far.pipe(near);
    owner.teardown(() => {
      near.destroy();
      far.destroy();
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  owner.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}
