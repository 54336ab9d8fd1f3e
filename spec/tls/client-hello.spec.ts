/** ClientHellos of real clients (Node's and openssl's), every cut of them, and what only an attacker would send. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type ConnectionOptions, connect } from 'node:tls';
import t from 'tap';
import { CLIENT_HELLO_OCTETS, readClientHello } from '../../lib/tls/client-hello.ts';
import { within } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { start } from '../support/processes.ts';

/** What a client sends before it has heard anything. */
async function firstFlight(owner: Owner, dial: (port: number) => void): Promise<Buffer> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  owner.teardown(() => server.close());
  const accepted = once(server, 'connection');
  dial((server.address() as AddressInfo).port);
  const [socket] = await within('a connection', accepted);
  socket.on('error', () => {});
  let bytes = Buffer.alloc(0);
  while (readClientHello(bytes).status === 'incomplete') {
    const [chunk] = await within('a ClientHello', once(socket, 'data'));
    bytes = Buffer.concat([bytes, chunk]);
  }
  socket.destroy();
  return bytes;
}

const nodeFlight = (owner: Owner, options: ConnectionOptions) =>
  firstFlight(owner, port => {
    const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    client.on('error', () => {});
  });

/** The same handshake message in records of at most `size` octets. */
function rerecorded(flight: Uint8Array, size: number): Buffer {
  const message = flight.subarray(5);
  const records: Uint8Array[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Uint8Array.of(22, 3, 1, part.length >> 8, part.length & 255), part);
  }
  return Buffer.concat(records);
}

t.test('names of real clients, at every cut', async t => {
  const flights: [string, Buffer, string | null][] = [
    ['TLS 1.3', await nodeFlight(t, { servername: 'Mail.Example.NET' }), 'mail.example.net'],
    [
      'TLS 1.2',
      await nodeFlight(t, { servername: 'mx.example.org', maxVersion: 'TLSv1.2' }),
      'mx.example.org',
    ],
    ['no name', await nodeFlight(t, {}), null],
    ['ALPN', await nodeFlight(t, { servername: 'a.example', ALPNProtocols: ['x'.repeat(200)] }), 'a.example'],
  ];
  for (const [name, flight, serverName] of flights) {
    t.strictSame(readClientHello(flight), { status: 'complete', serverName, ticketName: null }, name);
    t.strictSame(
      readClientHello(Buffer.concat([flight, Buffer.from('more')])),
      { status: 'complete', serverName, ticketName: null },
      `${name}, with octets behind it`,
    );
    for (let cut = 0; cut < flight.length; cut++) {
      const { status } = readClientHello(flight.subarray(0, cut));
      if (status !== 'incomplete') t.fail(`${name}: cut at ${cut} is ${status}`);
    }
    for (const size of [4, 17, 100]) {
      const cut = rerecorded(flight, size);
      const expected = flight.length / size > 32 ? 'invalid' : 'complete';
      t.equal(readClientHello(cut).status, expected, `${name} in records of ${size}`);
      if (expected === 'invalid') continue;
      t.match(readClientHello(cut), { serverName });
      for (let at = 0; at < cut.length; at++) {
        const { status } = readClientHello(cut.subarray(0, at));
        if (status !== 'incomplete') t.fail(`${name} in records of ${size}: cut at ${at} is ${status}`);
      }
    }
  }
});

t.test('openssl', needs('openssl'), async t => {
  const flight = await firstFlight(t, port => {
    start(t, 'openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'tenant-1.example']);
  });
  t.strictSame(readClientHello(flight), {
    status: 'complete',
    serverName: 'tenant-1.example',
    ticketName: null,
  });
});

t.test('what is no ClientHello is known at once', async t => {
  for (const text of [
    'E',
    'EHLO x\r\n',
    'GET / HTTP/1.1\r\n',
    '\x16\x02',
    '\x16\x03\x01\x00\x00',
    '\x15\x03\x03\x00\x02',
  ])
    t.equal(readClientHello(Buffer.from(text, 'latin1')).status, 'invalid', JSON.stringify(text));
  t.equal(readClientHello(Buffer.from([22, 3, 1, 0, 4, 2])).status, 'invalid', 'a ServerHello');
  t.equal(readClientHello(Buffer.from([22, 3, 1, 0x40, 1, 1])).status, 'invalid', 'a record beyond 2^14');
  const long = Buffer.from([22, 3, 1, 0x40, 0, 1, 0, 0x40, 1]);
  t.equal(readClientHello(long).status, 'invalid', `a message beyond ${CLIENT_HELLO_OCTETS}`);
});

t.test('a ClientHello with any one octet changed never throws, and reads past nothing', async t => {
  const flight = await nodeFlight(t, { servername: 'mail.example.net' });
  const outcomes = new Map<string, number>();
  for (let at = 0; at < flight.length; at++) {
    for (const value of [0, 1, 0x7f, 0xff]) {
      const changed = Buffer.from(flight);
      changed[at] = value;
      const { status } = readClientHello(changed);
      outcomes.set(status, (outcomes.get(status) ?? 0) + 1);
    }
  }
  t.comment(JSON.stringify(Object.fromEntries(outcomes)));
  t.ok((outcomes.get('invalid') ?? 0) > 0 && (outcomes.get('complete') ?? 0) > 0);
});

t.test('names that are none', async t => {
  const flight = await nodeFlight(t, { servername: 'mail.example.net' });
  const at = flight.indexOf('mail.example.net');
  for (const bad of ['mail example.net', 'mail.example.n\0t', 'mail/example.net', 'mail.example.n\u00e4']) {
    const changed = Buffer.from(flight);
    changed.write(bad, at, 16, 'latin1');
    t.equal(readClientHello(changed).status, 'invalid', JSON.stringify(bad));
  }
});
