import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import type { Address, IpAddress } from '../../lib/core/address.ts';
import { formatAddress } from '../../lib/core/address.ts';
import { eventually } from '../support/eventually.ts';
import { refusingAddress } from '../support/free-port.ts';
import {
  type Instance,
  mx,
  type Settings,
  startInstance,
  TRANSPORTS,
  type TransportName,
} from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { type ScriptedBackend, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { type ClientOptions, connectClient, type SmtpClient } from '../support/smtp-client.ts';

const UNAVAILABLE = '421 4.3.2 lb.example Service not available, try again later\r\n';
const TOO_MANY = '421 4.7.0 lb.example Too many connections from your address, try again later\r\n';
const TOO_FAST = '421 4.7.0 lb.example Connecting too often from your address, try again later\r\n';
const STOPPING = '421 4.3.2 lb.example Service is shutting down, try again later\r\n';
const DENIED = '554 5.7.1 lb.example Access denied\r\n';

/** What a client does that has not been greeted. */
const MANNERS = {
  'waits for the greeting': async () => {},
  'speaks early': (client: SmtpClient) => client.send('EHLO early.example'),
  'sends a lot early': (client: SmtpClient) => client.write('x'.repeat(300_000)),
} as const;

/** One more client of each manner, all refused with this line, in order, and no RST even when they talk on. */
async function refused(owner: Owner, instance: Instance, line: string, options: ClientOptions = {}) {
  const clients: SmtpClient[] = [];
  for (const [manner, act] of Object.entries(MANNERS)) {
    const client = await connectClient(owner, instance.address(), options);
    clients.push(client);
    const acted = act(client);
    await client.expectClosed('fin');
    if (client.received.toString() !== line)
      throw new Error(`a client that ${manner} heard ${client.received.toString()}`);
    await client.send('QUIT');
    await acted;
    client.end();
  }
  const records = await Promise.all(
    clients.map(({ ports }) =>
      instance.logged('a refused session', ({ client }) => String(client).endsWith(`:${ports.local}`)),
    ),
  );
  for (const { closing } of clients)
    if (closing !== 'fin') throw new Error(`a refused client saw ${closing}`);
  return records;
}

interface Scene {
  readonly instance: Instance;
  readonly backend: ScriptedBackend;
}

async function scene(
  owner: Owner,
  transport: TransportName,
  settings: (backend: string) => Settings,
): Promise<Scene> {
  const backend = await startScriptedBackend(owner, smtp());
  return {
    backend,
    instance: await startInstance(owner, transport, settings(formatAddress(backend.address))),
  };
}

/** A client that is being served. */
async function served(owner: Owner, address: Address, options: ClientOptions = {}): Promise<SmtpClient> {
  const client = await connectClient(owner, address, options);
  await client.expect(220);
  return client;
}

function ipOf(address: Address): IpAddress {
  if (address.family === 'unix') throw new Error('not an IP address');
  return address;
}

async function quit(...clients: readonly SmtpClient[]): Promise<void> {
  for (const client of clients) {
    await client.command('QUIT', 221);
    client.end();
  }
}

for (const transport of TRANSPORTS) {
  t.test(`${transport}: every backend refuses, then all are left alone`, async t => {
    const instance = await startInstance(
      t,
      transport,
      mx([formatAddress(await refusingAddress())], {
        passiveHealth: { failures: 1, pause: '1m', maxPause: '1m' },
      }),
    );
    const records = await refused(t, instance, UNAVAILABLE);
    t.match(records, [
      { cause: 'backend-refused', phase: 'connecting' },
      { cause: 'no-backend', phase: 'selecting' },
      { cause: 'no-backend', phase: 'selecting' },
    ]);
    await instance.idle();
  });

  t.test(`${transport}: the only backend is full and nobody may wait`, async t => {
    const { instance, backend } = await scene(t, transport, address =>
      mx([{ address, maxConnections: 1 }], { queue: { size: 0 } }),
    );
    const first = await served(t, instance.address());
    const records = await refused(t, instance, UNAVAILABLE);
    for (const record of records) t.match(record, { cause: 'queue-full', backend: null });
    await quit(first);
    await instance.sessions(4);
    await quit(await served(t, instance.address()));
    t.equal(backend.connections.length, 2, 'no refused client has reached the backend');
    await instance.idle();
  });

  t.test(`${transport}: waiting in the queue takes too long`, async t => {
    const { instance, backend } = await scene(t, transport, address =>
      mx([{ address, maxConnections: 1 }], { queue: { size: 1, timeout: '200ms' } }),
    );
    const first = await served(t, instance.address());
    const records = await refused(t, instance, UNAVAILABLE);
    for (const record of records) {
      t.match(record, { cause: 'queue-timeout', phase: 'selecting', backend: null });
      const { queueMs } = record;
      // Where nothing is said of it, it is ten seconds.
      t.ok(Number(queueMs) >= 200 && Number(queueMs) < 9_000, `waited ${queueMs} ms of 200`);
    }
    t.comment(`queueMs ${records.map(({ queueMs }) => queueMs).join(', ')}`);
    await quit(first);
    t.equal(backend.connections.length, 1);
    await instance.idle();
  });

  t.test(`${transport}: who waits gets the slot that comes free, first come first served`, async t => {
    const { instance } = await scene(t, transport, address =>
      mx([{ address, maxConnections: 1 }], { queue: { size: 2, timeout: '10s' } }),
    );
    const first = await served(t, instance.address());
    const waiting: SmtpClient[] = [];
    for (const length of [1, 2]) {
      waiting.push(await connectClient(t, instance.address()));
      await eventually(
        'a queue',
        async () => (await instance.metrics()).value('smtplb_queue_length') === length,
      );
    }
    const [second, third] = waiting as [SmtpClient, SmtpClient];
    // The queue is full: the next one is told so.
    const surplus = await connectClient(t, instance.address());
    t.equal((await surplus.reply()).raw, UNAVAILABLE);
    surplus.end();
    const [full] = await instance.sessions(1);
    t.match(full, { cause: 'queue-full' });

    await quit(first);
    await second.expect(220);
    t.equal(third.octets, 0, 'the third waits on');
    await quit(second);
    await third.expect(220);
    await quit(third);
    const records = await instance.sessions(4);
    t.match(records[2], { cause: 'normal', backend: 'b1', retries: [] });
    t.ok(Number(records[2]?.['queueMs']) > 0);
    t.equal((await instance.metrics()).value('smtplb_queue_wait_seconds_count'), 2);
    await instance.idle();
  });

  t.test(`${transport}: a client that leaves the queue frees its place`, async t => {
    const { instance } = await scene(t, transport, address =>
      mx([{ address, maxConnections: 1 }], { queue: { size: 1, timeout: '10s' } }),
    );
    const first = await served(t, instance.address());
    for (const leave of ['end', 'reset'] as const) {
      const impatient = await connectClient(t, instance.address());
      await eventually('a queue', async () => (await instance.metrics()).value('smtplb_queue_length') === 1);
      impatient[leave]();
      await eventually('no queue', async () => (await instance.metrics()).value('smtplb_queue_length') === 0);
    }
    t.match(await instance.sessions(2), [
      { cause: 'client-closed', phase: 'selecting' },
      { cause: 'client-reset', phase: 'selecting' },
    ]);
    await quit(first);
    await instance.idle();
  });

  t.test(`${transport}: the listener is full`, async t => {
    const { instance, backend } = await scene(t, transport, address =>
      mx([address], {}, { limits: { connections: 2 } }),
    );
    const clients = [await served(t, instance.address()), await served(t, instance.address())];
    for (const record of await refused(t, instance, UNAVAILABLE))
      t.match(record, { cause: 'listener-limit', phase: 'accepting', backend: null });
    await quit(...clients);
    await instance.idle();
    await quit(await served(t, instance.address()));
    t.equal(backend.connections.length, 3);
    await instance.idle();
  });

  t.test(`${transport}: one client has too many connections, another is served`, async t => {
    const { instance } = await scene(t, transport, address =>
      mx([address], {}, { limits: { perClient: { connections: 1 } } }),
    );
    const one = await served(t, instance.address());
    for (const record of await refused(t, instance, TOO_MANY)) t.match(record, { cause: 'client-limit' });
    const other = await served(t, instance.address(), { from: '127.0.0.2' });
    await quit(one);
    await instance.sessions(4);
    await quit(await served(t, instance.address()), other);
    await instance.idle();
  });

  t.test(`${transport}: one client connects too often, another is served`, async t => {
    const { instance } = await scene(t, transport, address =>
      mx([address], {}, { limits: { perClient: { rate: '2/10m' } } }),
    );
    await quit(await served(t, instance.address()), await served(t, instance.address()));
    for (const record of await refused(t, instance, TOO_FAST)) t.match(record, { cause: 'client-rate' });
    await quit(await served(t, instance.address(), { from: '127.0.0.2' }));
    await instance.idle();
  });

  t.test(`${transport}: denied, or not on the list of those allowed`, async t => {
    const { instance: denying } = await scene(t, transport, address =>
      mx([address], {}, { clients: { deny: ['127.0.0.2/32', '127.3.0.0/16'] } }),
    );
    for (const from of ['127.0.0.2', '127.3.2.1'])
      for (const record of await refused(t, denying, DENIED, { from }))
        t.match(record, { cause: 'denied', phase: 'accepting', client: new RegExp(`^${from}:`) });
    await quit(await served(t, denying.address()));
    await denying.idle();

    const { instance: allowing } = await scene(t, transport, address =>
      mx([address], {}, { clients: { allow: ['127.0.0.0/30'], deny: ['127.0.0.3/32'] } }),
    );
    for (const from of ['127.0.0.4', '127.0.0.3']) await refused(t, allowing, DENIED, { from });
    await quit(await served(t, allowing.address(), { from: '127.0.0.2' }));
    await allowing.idle();
  });

  t.test(
    `${transport}: a denied client that is gone before it is accepted gets no byte to a backend`,
    async t => {
      const { instance, backend } = await scene(t, transport, address =>
        mx([address], {}, { clients: { deny: ['127.0.0.0/8'] } }),
      );
      const { host, port } = ipOf(instance.address());
      // All of them are reset before this process comes round to accepting one: then nobody knows their address.
      const gone = Array.from({ length: 100 }, () => {
        const socket = connect({ host, port });
        socket.on('error', () => {});
        socket.on('connect', () => {
          socket.write('EHLO gone.example\r\nMAIL FROM:<>\r\n');
          socket.resetAndDestroy();
        });
        return once(socket, 'close');
      });
      await Promise.all(gone);
      const [last] = await refused(t, instance, DENIED);
      t.match(last, { cause: 'denied' });
      t.equal(backend.connections.length, 0, 'no backend was dialled');
      t.equal((await instance.metrics()).sum('smtplb_picks_total'), 0);
      await instance.idle();
    },
  );

  t.test(`${transport}: IPv6 clients are on the lists too`, async t => {
    const { instance } = await scene(t, transport, address =>
      mx([address], {}, { listen: '[::1]:0', clients: { deny: ['::1/128'] } }),
    );
    const [record] = await refused(t, instance, DENIED);
    t.match(record, { cause: 'denied', client: /^\[::1\]:/ });
    await instance.idle();
  });

  t.test(`${transport}: stopping refuses who waits and lets the others finish`, async t => {
    const { instance } = await scene(t, transport, address => ({
      ...mx([{ address, maxConnections: 1 }], { queue: { size: 10, timeout: '1m' } }),
      drainTimeout: '1m',
    }));
    const busy = await served(t, instance.address());
    const waiting: SmtpClient[] = [];
    for (const act of Object.values(MANNERS)) {
      const client = await connectClient(t, instance.address());
      void act(client);
      waiting.push(client);
    }
    await eventually('a queue', async () => (await instance.metrics()).value('smtplb_queue_length') === 3);
    const stopped = instance.stop();
    for (const client of waiting) {
      await client.expectClosed('fin');
      t.equal(client.received.toString(), STOPPING);
      client.end();
    }
    await busy.command('EHLO still.example', 250);
    await busy.deliver();
    await quit(busy);
    await stopped;
    t.match(await instance.sessions(4), [
      { cause: 'shutdown', phase: 'selecting' },
      { cause: 'shutdown', phase: 'selecting' },
      { cause: 'shutdown', phase: 'selecting' },
      { cause: 'normal', phase: 'relaying' },
    ]);
    for (const { closing } of waiting) t.equal(closing, 'fin');
  });
}
