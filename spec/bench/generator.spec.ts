import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import t from 'tap';
import { generate, openIdle } from '../../bench/generator.ts';
import { startSink } from '../../lib/cli/sink/sink.ts';
import { type IpAddress, ipAddress } from '../../lib/core/address.ts';

const ANY: IpAddress = { family: 'ipv4', host: '127.0.0.1', port: 0 };

async function sinkFor(t: Tap) {
  const sink = await startSink({ listen: ANY, hostName: 'sink.example' });
  t.teardown(() => sink.stop());
  if (sink.address.family === 'unix') throw new Error('the sink listens elsewhere');
  return { sink, address: sink.address };
}

type Tap = Pick<typeof t, 'teardown'>;

t.test('a session for each message', async t => {
  const { sink, address } = await sinkFor(t);
  await generate({ address, count: 25, parallel: 4, bytes: 1_024 });
  t.match(sink.stats(), { messages: 25, connections: 25 });
  const headerAndEnd = 'Subject: bench\r\n\r\n'.length + '.\r\n'.length;
  t.ok(Math.abs(sink.stats().octets - 25 * (1_024 + headerAndEnd)) <= 25 * 3, 'of the size asked for');
});

t.test('all messages over kept sessions', async t => {
  const { sink, address } = await sinkFor(t);
  await generate({ address, count: 25, parallel: 4, bytes: 100, kept: true });
  t.match(sink.stats(), { messages: 25, connections: 4 });
});

t.test('connect and quit', async t => {
  const { sink, address } = await sinkFor(t);
  await generate({ address, count: 10, parallel: 20 });
  t.match(sink.stats(), { messages: 0, connections: 10 });
});

t.test('idle sessions stay until they are let go', async t => {
  const { sink, address } = await sinkFor(t);
  const clients = await openIdle(address, 50);
  t.equal(clients.length, 50);
  t.match(sink.stats(), { connections: 50, active: 50 });
  for (const client of clients) client.destroy();
});

async function serverThatSays(t: Tap, greeting: string) {
  const server = createServer(socket => {
    socket.on('error', () => {});
    socket.end(greeting);
    socket.resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => new Promise(resolve => server.close(resolve)));
  const address = ipAddress('127.0.0.1', (server.address() as AddressInfo).port);
  if (address === undefined) throw new Error('no address');
  return address;
}

t.test('a refusal fails the load: it must not pass for speed', async t => {
  const address = await serverThatSays(t, '421 4.3.2 full\r\n');
  await t.rejects(generate({ address, count: 1, parallel: 1 }), /expected 220, got 421 4.3.2 full/);
});

t.test('a connection that closes fails the load', async t => {
  const address = await serverThatSays(t, '220 hel');
  await t.rejects(generate({ address, count: 1, parallel: 1 }), /closed/);
});

t.test('nobody there fails the load', async t => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = ipAddress('127.0.0.1', (server.address() as AddressInfo).port) ?? ANY;
  server.close();
  await once(server, 'close');
  await t.rejects(generate({ address, count: 1, parallel: 1 }), { code: 'ECONNREFUSED' });
});
