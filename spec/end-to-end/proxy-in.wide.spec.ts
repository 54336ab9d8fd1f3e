/** The PROXY protocol towards us, and what of it reaches a backend. */
import t from 'tap';
import { formatAddress, type IpAddress } from '../../lib/core/address.ts';
import { decodeProxyHeader } from '../../lib/proxy-protocol/decode.ts';
import { encodeProxyV1, encodeProxyV2 } from '../../lib/proxy-protocol/encode.ts';
import type { ProxyDecoded } from '../../lib/proxy-protocol/header.ts';
import { eventually } from '../support/eventually.ts';
import { type Instance, mx, startInstance, TRANSPORTS, type TransportName } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { octetByOctet } from '../support/peer.ts';
import {
  type BackendConnection,
  type Script,
  type ScriptedBackend,
  smtp,
  startScriptedBackend,
} from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const SOURCE: IpAddress = { family: 'ipv4', host: '192.0.2.77', port: 4711 };
const DESTINATION: IpAddress = { family: 'ipv4', host: '198.51.100.25', port: 25 };
const SOURCE_6: IpAddress = { family: 'ipv6', host: '2001:db8::77', port: 4711 };
const DESTINATION_6: IpAddress = { family: 'ipv6', host: '2001:db8::25', port: 25 };
const V1 = encodeProxyV1({ source: SOURCE, destination: DESTINATION });
const V2 = encodeProxyV2({ command: 'proxy', source: SOURCE, destination: DESTINATION });

type Valid = Extract<ProxyDecoded, { status: 'valid' }>;

/** The header at the start of a backend's connection, awaited. */
function headerAt(connection: BackendConnection): Promise<Valid> {
  return eventually('a PROXY header', () => {
    const decoded = decodeProxyHeader(connection.received);
    if (decoded.status === 'invalid') throw new Error(decoded.reason);
    return decoded.status === 'valid' && decoded;
  });
}

/** A backend that wants a PROXY header, and speaks SMTP after it. */
const behindProxy: Script = async connection => {
  const { length } = await headerAt(connection);
  await connection.until(new RegExp(`^[\\s\\S]{${length}}`));
  await smtp()(connection);
};

interface Scene {
  readonly instance: Instance;
  readonly backend: ScriptedBackend;
}

async function scene(
  owner: Owner,
  transport: TransportName,
  pool: Readonly<Record<string, unknown>> = {},
  listener: Readonly<Record<string, unknown>> = {},
): Promise<Scene> {
  const backend = await startScriptedBackend(owner, pool['identity'] === undefined ? smtp() : behindProxy);
  const instance = await startInstance(
    owner,
    transport,
    mx([formatAddress(backend.address)], pool, {
      proxyProtocol: { from: ['127.0.0.1/32'] },
      ...listener,
    }),
  );
  return { instance, backend };
}

for (const transport of TRANSPORTS) {
  for (const [name, header] of [
    ['version 1', V1],
    ['version 2', V2],
  ] as const) {
    t.test(`${transport}: ${name} from a listed network names the client`, async t => {
      const { instance, backend } = await scene(t, transport);
      const client = await connectClient(t, instance.address());
      await client.write(header);
      await client.expect(220);
      await client.command('QUIT', 221);
      client.end();
      const [record] = await instance.sessions(1);
      t.match(record, { client: '192.0.2.77:4711', via: `127.0.0.1:${client.ports.local}`, cause: 'normal' });
      t.equal((await backend.connection()).received.toString(), 'QUIT\r\n', 'the header is not passed on');
      await instance.idle();
    });

    t.test(`${transport}: ${name} in pieces, and with a command behind it`, async t => {
      const { instance, backend } = await scene(t, transport);
      const slow = await connectClient(t, instance.address());
      await slow.writePieces(octetByOctet(header));
      await slow.expect(220);
      await slow.command('QUIT', 221);
      slow.end();

      const hasty = await connectClient(t, instance.address());
      await hasty.write(Buffer.concat([header, Buffer.from('EHLO hasty.example\r\nQUIT\r\n')]));
      for (const code of [220, 250, 221]) await hasty.expect(code);
      hasty.end();
      const cut = await connectClient(t, instance.address());
      await cut.writePieces([
        header.subarray(0, 9),
        Buffer.concat([header.subarray(9), Buffer.from('NOOP\r')]),
        '\n',
      ]);
      for (const code of [220, 250]) await cut.expect(code);
      await cut.command('QUIT', 221);
      cut.end();

      for (const record of await instance.sessions(3)) t.match(record, { client: '192.0.2.77:4711' });
      const heard = backend.connections.map(({ received }) => received.toString());
      t.same(heard, ['QUIT\r\n', 'EHLO hasty.example\r\nQUIT\r\n', 'NOOP\r\nQUIT\r\n']);
      await instance.idle();
    });

    t.test(`${transport}: ${name} half sent, or late, ends the session and dials nobody`, async t => {
      const { instance, backend } = await scene(t, transport, {}, { timeouts: { proxyHeader: '300ms' } });
      await Promise.all(
        [0, 1, 7, header.length - 1].map(async part => {
          const client = await connectClient(t, instance.address());
          const startedAt = performance.now();
          if (part > 0) await client.write(header.subarray(0, part));
          t.not(await client.closed, 'self');
          const waited = performance.now() - startedAt;
          // Where nothing is said of it, it is five seconds.
          t.ok(waited >= 250 && waited < 4_500, `closed after ${waited.toFixed(0)} ms of 300`);
          t.equal(client.octets, 0);
        }),
      );
      // The deadline is not renewed by an octet: all but the last of them would take seconds.
      const dribbling = await connectClient(t, instance.address());
      const startedAt = performance.now();
      for (let at = 0; dribbling.closing === 'open' && at < header.length - 1; at++) {
        await dribbling.write(header.subarray(at, at + 1));
        await Promise.race([dribbling.closed, new Promise(resolve => setTimeout(resolve, 60))]);
      }
      t.not(dribbling.closing, 'open');
      t.comment(`octet by octet: closed after ${(performance.now() - startedAt).toFixed(0)} ms of 300`);
      for (const record of await instance.sessions(5))
        t.match(record, { cause: 'proxy-header', phase: 'accepting', backend: null });
      t.equal(backend.connections.length, 0);
      await instance.idle();
    });
  }

  t.test(`${transport}: what is no header ends the session and dials nobody`, async t => {
    const { instance, backend } = await scene(t, transport);
    const wrong = [
      'EHLO no.header.example\r\n',
      'PROXY TCP4 192.0.2.77 198.51.100.25 4711\r\n',
      'PROXY TCP4 192.0.2.077 198.51.100.25 4711 25\r\n',
      'PROXY TCP4 192.0.2.77 198.51.100.25 4711 25\nEHLO x\r\n',
      `PROXY UNKNOWN ${'x'.repeat(200)}\r\n`,
      Buffer.concat([V2.subarray(0, 12), Uint8Array.of(0x31, 0x11, 0, 12), V2.subarray(16)]),
      Buffer.concat([V2.subarray(0, 14), Uint8Array.of(0xff, 0xff), Buffer.alloc(70_000, 'x')]),
    ];
    for (const [at, bytes] of wrong.entries()) {
      const client = await connectClient(t, instance.address());
      await client.write(bytes);
      t.not(await client.closed, 'self');
      t.equal(client.octets, 0, `nothing is answered to ${at}`);
    }
    for (const record of await instance.sessions(wrong.length)) t.match(record, { cause: 'proxy-header' });
    t.equal(backend.connections.length, 0);
    await instance.idle();
  });

  t.test(`${transport}: from an unlisted network a header is what any client might say`, async t => {
    const { instance, backend } = await scene(t, transport);
    const plain = await connectClient(t, instance.address(), { from: '127.0.0.2' });
    await plain.expect(220);
    await plain.command('QUIT', 221);
    plain.end();
    const liar = await connectClient(t, instance.address(), { from: '127.0.0.2' });
    await liar.write(V1);
    await liar.expect(220);
    await liar.expect(250); // a scripted backend says that to anything
    await liar.command('QUIT', 221);
    liar.end();
    for (const record of await instance.sessions(2))
      t.match(record, { client: /^127\.0\.0\.2:/, via: undefined });
    t.equal(backend.connections[0]?.received.toString(), 'QUIT\r\n');
    t.equal(backend.connections[1]?.received.toString(), `${Buffer.from(V1)}QUIT\r\n`);
    await instance.idle();
  });

  t.test(`${transport}: LOCAL and UNKNOWN keep the real peer`, async t => {
    const { instance, backend } = await scene(t, transport, { identity: 'proxy-v2' });
    const local = encodeProxyV2({ command: 'local', source: null, destination: null });
    for (const [at, header] of [local, Buffer.from('PROXY UNKNOWN\r\n')].entries()) {
      const client = await connectClient(t, instance.address());
      await client.write(header);
      await client.expect(220);
      await client.command('QUIT', 221);
      client.end();
      const record = (await instance.sessions(at + 1))[at];
      t.match(record, { client: `127.0.0.1:${client.ports.local}`, via: undefined });
      const { header: passed } = await headerAt(await backend.connection(at));
      t.match(passed, { command: 'proxy', source: { host: '127.0.0.1', port: client.ports.local } });
    }
    await instance.idle();
  });

  t.test(`${transport}: lists and limits are about the client that the header names`, async t => {
    const { instance } = await scene(t, transport, {}, { clients: { deny: ['192.0.2.0/24'] } });
    const denied = await connectClient(t, instance.address());
    await denied.write(Buffer.concat([V1, Buffer.from('EHLO x\r\n')]));
    t.equal((await denied.reply()).raw, '554 5.7.1 lb.example Access denied\r\n');
    await denied.expectClosed('fin');
    denied.end();
    t.match(await instance.sessions(1), [{ cause: 'denied', client: '192.0.2.77:4711' }]);
    await instance.idle();
  });

  for (const [name, from, to] of [
    ['IPv4', SOURCE, DESTINATION],
    ['IPv6', SOURCE_6, DESTINATION_6],
  ] as const) {
    t.test(
      `${transport}: an ${name} client goes on to the backend, with the id that the log has`,
      async t => {
        const v2 = await scene(t, transport, { identity: 'proxy-v2' });
        const client = await connectClient(t, v2.instance.address());
        await client.write(encodeProxyV1({ source: from, destination: to }));
        await client.expect(220);
        await client.command('QUIT', 221);
        client.end();
        const [record] = await v2.instance.sessions(1);
        const connection = await v2.backend.connection();
        const { header, length } = await headerAt(connection);
        t.match(header, { version: 2, command: 'proxy', source: from, destination: to });
        t.equal(Buffer.from(header.tlvs?.uniqueId ?? []).toString(), record?.['id']);
        t.match(record, { id: /^[\w-]{8}-\w+$/ });
        t.equal(connection.received.subarray(length).toString(), 'QUIT\r\n');
        await v2.instance.idle();

        const v1 = await scene(t, transport, { identity: 'proxy-v1' });
        const second = await connectClient(t, v1.instance.address());
        await second.write(encodeProxyV2({ command: 'proxy', source: from, destination: to }));
        await second.expect(220);
        await second.command('QUIT', 221);
        second.end();
        const heard = (await v1.backend.connection()).received;
        t.equal(heard.toString(), `${Buffer.from(encodeProxyV1({ source: from, destination: to }))}QUIT\r\n`);
        await v1.instance.idle();
      },
    );
  }

  t.test(`${transport}: without a header in, the backend learns the connection itself`, async t => {
    const { instance, backend } = await scene(t, transport, { identity: 'proxy-v2' });
    const client = await connectClient(t, instance.address(), { from: '127.0.0.9' });
    await client.expect(220);
    await client.command('QUIT', 221);
    client.end();
    const { header } = await headerAt(await backend.connection());
    t.match(header, {
      source: { host: '127.0.0.9', port: client.ports.local },
      destination: { host: '127.0.0.1', port: client.ports.remote },
    });
    await instance.idle();
  });
}
