/** What other programs write is read, and what is written is read by them: swaks and HAProxy. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { decodeProxyHeader } from '../../lib/proxy-protocol/decode.ts';
import { encodeProxyV1, encodeProxyV2 } from '../../lib/proxy-protocol/encode.ts';
import type { ProxyDecoded } from '../../lib/proxy-protocol/header.ts';
import { within } from '../support/eventually.ts';
import { freePort, loopback } from '../support/free-port.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { run, start } from '../support/processes.ts';
import { ascii, headerOf, ip } from './samples.ts';

interface Receiver {
  readonly port: number;
  /** The header of the next connection: whole, refused, or as far as it came. */
  next(): Promise<ProxyDecoded>;
  connections(): number;
}

/** Reads one header a connection, then speaks enough SMTP for EHLO and QUIT. */
async function receiver(owner: Owner): Promise<Receiver> {
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket);
    socket.on('error', () => {});
    let seen: Uint8Array = new Uint8Array(0);
    const readHeader = (chunk: Uint8Array) => {
      seen = Buffer.concat([seen, chunk]);
      const decoded = decodeProxyHeader(seen);
      if (decoded.status === 'incomplete') return;
      socket.off('data', readHeader);
      server.emit('header', decoded);
      if (decoded.status === 'invalid') return socket.destroy();
      socket.write('220 backend.example.net ESMTP\r\n');
      socket.on('data', command => {
        if (/^quit/i.test(command.toString('latin1'))) socket.end('221 2.0.0 bye\r\n');
        else socket.write('250 backend.example.net\r\n');
      });
      return;
    };
    socket.on('data', readHeader);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  owner.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return {
    port: (server.address() as AddressInfo).port,
    async next() {
      const [decoded] = await within('a PROXY header', once(server, 'header'));
      return decoded as ProxyDecoded;
    },
    connections: () => sockets.size,
  };
}

const V4 = ['192.0.2.77', '198.51.100.9'] as const;
// swaks packs addresses itself: all groups are written out for it.
const V6 = ['2001:db8:1:2:3:4:5:77', '2001:db8:0:0:0:0:0:9'] as const;
const V6_SHORT = ['2001:db8:1:2:3:4:5:77', '2001:db8::9'] as const;

t.test('swaks', needs('swaks'), async t => {
  const backend = await receiver(t);
  const swaks = async (
    version: 1 | 2,
    family: string,
    [source, destination]: readonly [string, string],
    ...more: string[]
  ) => {
    const header = backend.next();
    const exit = run(t, 'swaks', [
      ...[
        '--server',
        '127.0.0.1',
        '--port',
        String(backend.port),
        '--to',
        'x@example.net',
        '--quit-after',
        'EHLO',
      ],
      ...['--proxy-version', String(version), '--proxy-family', family, '--proxy-source', source],
      ...['--proxy-source-port', '45321', '--proxy-dest', destination, '--proxy-dest-port', '25', ...more],
    ]);
    return { decoded: await header, exitCode: (await exit).exitCode };
  };

  for (const [version, family, hosts, [source, destination]] of [
    [1, 'TCP4', V4, V4],
    [1, 'TCP6', V6, V6_SHORT],
    [2, 'AF_INET', V4, V4],
    [2, 'AF_INET6', V6, V6_SHORT],
  ] as const) {
    const { decoded, exitCode } = await swaks(version, family, hosts);
    const expected = {
      version,
      command: 'proxy',
      source: ip(source, 45321),
      destination: ip(destination, 25),
    };
    t.match(headerOf(decoded), expected, `version ${version}, ${family}`);
    t.equal(exitCode, 0, 'and the session goes on behind the header');
  }

  const unspecified = await swaks(2, 'AF_UNSPEC', V4);
  t.match(
    headerOf(unspecified.decoded),
    { source: null, destination: null },
    'UNSPEC, with an address block',
  );
  t.equal(unspecified.exitCode, 0);
  const datagram = await swaks(2, 'AF_INET', V4, '--proxy-protocol', 'DGRAM');
  t.strictSame(datagram.decoded, { status: 'invalid', reason: 'v2: datagrams are no SMTP session' });
  t.match(await swaks(1, 'TCP4', V6), { decoded: { status: 'invalid' } }, 'TCP4 with IPv6 addresses');
});

/** HAProxy with one listener a version it sends; it reads either version. */
async function haproxy(owner: Owner, folder: string, backend: number) {
  for (let attempt = 0; ; attempt++) {
    const [v1Port, v2Port] = [await freePort(), await freePort()];
    const file = join(folder, `haproxy-${attempt}.cfg`);
    writeFileSync(
      file,
      `
defaults
  mode tcp
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen one
  bind 127.0.0.1:${v1Port} accept-proxy
  server backend 127.0.0.1:${backend} send-proxy
listen two
  bind 127.0.0.1:${v2Port} accept-proxy
  unique-id-format %[fc_pp_authority]/%[fc_pp_unique_id]
  server backend 127.0.0.1:${backend} send-proxy-v2-ssl-cn proxy-v2-options unique-id,crc32c
`,
    );
    const program = start(owner, 'haproxy', ['-db', '-f', file]);
    try {
      await Promise.all([program.accepting(loopback(v1Port)), program.accepting(loopback(v2Port))]);
      return { v1Port, v2Port };
    } catch (error) {
      // Somebody else took a port in between.
      await program.stop();
      if (attempt === 2) throw error;
    }
  }
}

t.test('HAProxy', needs('haproxy'), async t => {
  const backend = await receiver(t);
  const { v1Port, v2Port } = await haproxy(t, t.testdir(), backend.port);

  /** Sends a header, and what HAProxy makes of it. */
  const forwarded = async (port: number, header: Uint8Array) => {
    const next = backend.next();
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const own = ip('127.0.0.1', socket.localPort ?? 0);
    socket.write(Buffer.concat([header, ascii('EHLO client.example.net\r\n')]));
    const [greeting] = await within('a greeting', once(socket, 'data'));
    t.match(String(greeting), /^220 /);
    const decoded = await next;
    const closed = once(socket, 'close');
    socket.destroy();
    await closed;
    return { decoded, own };
  };

  for (const [name, source, destination] of [
    ['IPv4', ip('192.0.2.77', 45321), ip('198.51.100.9', 25)],
    ['IPv6', ip('2001:db8:1:2::77', 65535), ip('2001:db8::1:0:0:9', 25)],
    ['IPv4 to IPv6', ip('192.0.2.77', 1), ip('2001:db8::9', 25)],
    ['IPv6 to IPv4', ip('2001:db8::', 1), ip('198.51.100.9', 25)],
  ] as const) {
    const ends = { source, destination };
    const plain = encodeProxyV2({ command: 'proxy', ...ends });
    const full = encodeProxyV2({
      ...{ command: 'proxy', ...ends, uniqueId: 'edge-1-42', authority: 'mx.example.net', crc32c: true },
      tls: { client: 1, verify: 0, version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' },
    });
    for (const [kind, header] of [
      ['1', encodeProxyV1(ends)],
      ['2', plain],
      ['2 with TLVs', full],
    ] as const) {
      const one = await forwarded(v1Port, header);
      t.strictSame(
        headerOf(one.decoded),
        { version: 1, command: 'proxy', ...ends },
        `${name}: ${kind} in, 1 out`,
      );
      const two = await forwarded(v2Port, header);
      // HAProxy's checksum over its own header is verified on the way.
      t.match(headerOf(two.decoded), { version: 2, command: 'proxy', ...ends }, `${name}: ${kind} in, 2 out`);
    }
    const { decoded } = await forwarded(v2Port, full);
    const tlvs = headerOf(decoded)?.tlvs;
    t.equal(
      String(Buffer.from(tlvs?.uniqueId ?? [])),
      'mx.example.net/edge-1-42',
      `${name}: TLVs as they were sent`,
    );
    t.strictSame(tlvs?.tls, { client: 0, verify: 0 }, `${name}: HAProxy tells that it had no TLS`);
  }

  const local = encodeProxyV2({ command: 'local', source: null, destination: null });
  for (const header of [local, encodeProxyV1({ source: null, destination: null })]) {
    const { decoded, own } = await forwarded(v2Port, header);
    t.match(
      headerOf(decoded),
      { source: own, destination: ip('127.0.0.1', v2Port) },
      'no addresses: the real peer',
    );
  }

  const ends = { source: ip('192.0.2.77', 1), destination: ip('192.0.2.1', 25) };
  const wrong = Buffer.from(encodeProxyV2({ command: 'proxy', ...ends, crc32c: true }));
  await forwarded(v2Port, wrong);
  wrong[19] = 78;
  const before = backend.connections();
  const socket = connect(v2Port, '127.0.0.1');
  let answer = '';
  socket.on('error', () => {}); // a reset: our EHLO was not read
  socket.on('data', chunk => {
    answer += chunk;
  });
  const closed = new Promise(resolve => socket.on('close', resolve));
  socket.write(Buffer.concat([wrong, ascii('EHLO x\r\n')]));
  await within('HAProxy to refuse a wrong checksum', closed);
  t.strictSame(
    [answer, backend.connections()],
    ['', before],
    'a wrong checksum: no greeting, nothing dialled',
  );
});
