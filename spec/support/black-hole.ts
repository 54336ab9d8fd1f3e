/** An address whose SYN is never answered, without a packet that leaves loopback. */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { IpAddress } from '../../lib/core/address.ts';
import { eventually, within } from './eventually.ts';
import { loopback } from './free-port.ts';
import type { Owner } from './owner.ts';

// The listening socket belongs to a thread that goes to sleep, so nothing is ever taken from its accept
// queue. Linux takes backlog + 1 connections into the queue and drops every SYN after them.
const BACKLOG = 1;
const SLEEPER = `
  const { parentPort } = require('node:worker_threads');
  const server = require('node:net').createServer();
  server.listen({ host: '127.0.0.1', port: 0, backlog: ${BACKLOG} }, () => {
    parentPort.postMessage(server.address().port);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

/**
 * An address at which a connect neither succeeds nor fails until its own timeout, for as long as the test
 * runs. Linux only: it rejects elsewhere.
 */
export async function blackHole(owner: Owner): Promise<IpAddress> {
  const worker = new Worker(SLEEPER, { eval: true, execArgv: [] });
  const fillers: Socket[] = [];
  owner.teardown(async () => {
    for (const socket of fillers) socket.destroy();
    await worker.terminate();
  });
  const port = await within(
    'the listening thread',
    new Promise<number>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    }),
  );
  for (let count = 0; count <= BACKLOG; count++) {
    const socket = connect({ host: '127.0.0.1', port });
    socket.on('error', () => {});
    fillers.push(socket);
    await within('a place in the queue', new Promise(resolve => socket.once('connect', resolve)));
  }
  await eventually('a full accept queue', () => queueLength(port) === BACKLOG + 1);
  return loopback(port);
}

/** Connections that wait to be accepted: for a listening socket the kernel shows them as its receive queue. */
function queueLength(port: number): number {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const listening = '0A';
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const [, address, , state, queues = ''] = line.trim().split(/\s+/);
    if (address === local && state === listening) return Number.parseInt(queues.split(':')[1] ?? '', 16);
  }
  throw new Error(`no listening socket at ${local}`);
}
