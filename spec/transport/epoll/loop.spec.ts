import { once } from 'node:events';
import { closeSync, writeSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { type Address, ipAddress } from '../../../lib/core/address.ts';
import { TICK_MS } from '../../../lib/core/timer-wheel.ts';
import { closeAbandoned, openDescriptorRecord } from '../../../lib/transport/linux/descriptor.ts';
import { startThread } from '../../support/checkout.ts';
import { eventually, within } from '../../support/eventually.ts';
import { needs } from '../../support/needs.ts';
import type { Owner } from '../../support/owner.ts';
import { start } from '../../support/processes.ts';
import { openWorld } from '../peers.ts';
import type { FromRelayThread, RelayThreadStart } from './relay-thread.ts';

/** Enough that finding the thread awake by chance would take seconds. */
const ASKED = 100;

const WAKE = new BigUint64Array([1n]);

/** Echoes. */
async function startEcho(owner: Owner): Promise<Address> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.pipe(socket);
  }).listen(0, '127.0.0.1', 4_096);
  await once(server, 'listening');
  owner.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return ipAddress('127.0.0.1', (server.address() as AddressInfo).port) as Address;
}

async function startRelayThread(owner: Owner, backend: Address) {
  const workerData: RelayThreadStart = { backend, descriptorRecord: openDescriptorRecord() };
  const worker = startThread('spec/transport/epoll/relay-thread', workerData);
  const close = async () => {
    await within('the end of the thread', worker.terminate());
    return closeAbandoned(workerData.descriptorRecord, closeSync);
  };
  owner.teardown(close);
  const [listening] = (await within('the thread', once(worker, 'message'))) as [FromRelayThread];
  if (listening.type !== 'listening') throw new Error(JSON.stringify(listening));
  const { address, wake } = listening;
  const port = address.family === 'unix' ? 0 : address.port;
  const ask = async () => {
    const answered = once(worker, 'message');
    worker.postMessage('how are you');
    writeSync(wake, WAKE);
    const [answer] = (await within('an answer', answered)) as [FromRelayThread];
    if (answer.type !== 'answer') throw new Error(JSON.stringify(answer));
    return answer;
  };
  return { ask, close, port };
}

async function dial(owner: Owner, port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
  socket.on('error', () => {});
  owner.teardown(() => socket.destroy());
  await within('a connection', once(socket, 'connect'));
  return socket;
}

/** Milliseconds from a line to its echo. */
async function roundTripMs(socket: Socket): Promise<number> {
  const begunMs = performance.now();
  socket.write('NOOP\r\n');
  await within('an echo', once(socket, 'data'));
  return performance.now() - begunMs;
}

const quantile = (all: readonly number[], part: number) =>
  [...all].sort((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * part))] ?? 0;
const figures = (all: readonly number[]) =>
  `p50 ${quantile(all, 0.5).toFixed(2)}, p99 ${quantile(all, 0.99).toFixed(2)}, max ${Math.max(...all).toFixed(2)} ms`;

t.test('a thread that waits in the kernel hears messages at once, and its timers run', async t => {
  const thread = await startRelayThread(t, await startEcho(t));
  const waits: number[] = [];
  for (let count = 0; count < ASKED; count++) {
    const begunMs = performance.now();
    await thread.ask();
    waits.push(performance.now() - begunMs);
  }
  t.comment(`answers after ${figures(waits)}`);
  const altogetherMs = waits.reduce((sum, wait) => sum + wait, 0);
  t.ok(altogetherMs < (ASKED * TICK_MS) / 2, 'woken, and not found awake at the next tick by chance');
  const { ticks } = await thread.ask();
  await eventually('timers', async () => (await thread.ask()).ticks >= ticks + 3);
});

t.test('a thread that dies leaves its descriptors to be closed, and its port is free', async t => {
  const thread = await startRelayThread(t, await startEcho(t));
  const sockets = await Promise.all(Array.from({ length: 20 }, () => dial(t, thread.port)));
  await Promise.all(sockets.map(roundTripMs));
  t.equal((await thread.ask()).relays, 20);
  const ended = sockets.map(socket => once(socket, 'end'));
  const closed = await thread.close();
  t.equal(
    closed,
    2 * 20 + 5,
    'two a session; the listening socket, the epoll set, the eventfd, both ends of the pipe',
  );
  await within('the end of every session', Promise.all(ended));
  const late = connect(thread.port, '127.0.0.1');
  const [error] = await once(late, 'error');
  t.match(error, { code: 'ECONNREFUSED' });
});

t.test('fifty small sessions beside one that moves all it can', async t => {
  const thread = await startRelayThread(t, await startEcho(t));
  const small = await Promise.all(Array.from({ length: 50 }, () => dial(t, thread.port)));
  const round = async () => (await Promise.all(small.map(roundTripMs))) as number[];
  const alone: number[] = [];
  for (let count = 0; count < 10; count++) alone.push(...(await round()));

  const bulk = await dial(t, thread.port);
  const block = Buffer.alloc(1_048_576, 'x');
  let moved = 0;
  let running = true;
  bulk.on('data', bytes => {
    moved += bytes.length;
  });
  const pour = (): void => {
    while (running && bulk.write(block));
  };
  bulk.on('drain', pour);
  pour();
  await eventually('the flood', () => moved > 2 * block.length);
  const before = moved;
  const beside: number[] = [];
  for (let count = 0; count < 10; count++) beside.push(...(await round()));
  running = false;
  t.comment(
    `alone ${figures(alone)}; beside ${((moved - before) / 1_048_576).toFixed(0)} MiB: ${figures(beside)}`,
  );
  t.ok(moved > before, 'the flood went on');
  t.ok(quantile(beside, 0.99) < 1_000 + 10 * Math.max(...alone), 'nobody starves');
  bulk.destroy();
});

t.test('a session goes on while a thousand clients arrive', async t => {
  const thread = await startRelayThread(t, await startEcho(t));
  const session = await dial(t, thread.port);
  await roundTripMs(session);
  let storming = true;
  // In waves: these clients share a thread with the one that is timed.
  const storm = (async () => {
    const all: Socket[] = [];
    for (let wave = 0; wave < 20; wave++)
      all.push(...(await Promise.all(Array.from({ length: 50 }, () => dial(t, thread.port)))));
    storming = false;
    return all;
  })();
  const beside: number[] = [];
  while (storming) beside.push(await roundTripMs(session));
  const clients = await storm;
  t.comment(`${beside.length} commands while 1,000 clients arrived: ${figures(beside)}`);
  t.ok(beside.length > 5, 'it did not wait for them');
  await Promise.all(clients.map(roundTripMs));
  t.equal((await thread.ask()).relays, 1_001, 'and all are served');
  for (const client of clients) client.destroy();
  await eventually('the end of all but one', async () => (await thread.ask()).relays === 1);
});

/** Sends urgent data with other data on both sides of it, says so, and waits to be told to leave. */
const URGENT = `
import socket, sys
peer = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
peer.sendall(b'x' * 1000)
peer.send(b'!', socket.MSG_OOB)
peer.sendall(b'y' * 1000)
print('sent', flush=True)
peer.recv(1)
`;

t.test('urgent data does not hide what lies behind it', needs('python3'), async t => {
  const { address, accept } = await openWorld(t, 'epoll').listen();
  const port = address.family === 'unix' ? 0 : address.port;
  const sender = start(t, 'python3', ['-c', URGENT, `${port}`]);
  const { connection, told } = await accept();
  connection.pause();
  await sender.printed(/sent/);
  connection.resume();
  // The read stops before the urgent octet, which is not part of the stream, and no event is to come any more.
  t.equal(String(await told.received(2_000)), 'x'.repeat(1_000) + 'y'.repeat(1_000));
});
