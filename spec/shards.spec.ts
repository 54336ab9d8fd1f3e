import { createServer } from 'node:net';
import t from 'tap';
import { formatAddress } from '../lib/core/address.ts';
import { chooseShards, type LoadTransport } from '../lib/shards.ts';
import { FAST_TRANSPORTS } from '../lib/transport/fast.ts';
import { CAN_SHARE } from '../lib/transport/net/listen.ts';
import { mx, startInstance } from './support/instance.ts';
import { smtp, startScriptedBackend } from './support/scripted-backend.ts';
import { connectClient } from './support/smtp-client.ts';

t.test('net: one shard runs in the main thread; several are refused by name where Node cannot', async t => {
  const { seats } = await chooseShards({ shards: 1, transport: 'net' });
  t.strictSame(seats, [{ transport: 'net', speaksTls: true, inThread: true }]);
  if (CAN_SHARE) {
    t.equal((await chooseShards({ shards: 3, transport: 'net' })).seats.length, 3);
    return;
  }
  await t.rejects(chooseShards({ shards: 2, transport: 'net' }), {
    message: /^shards: 2: .* 23\.1 or later$/,
  });
  t.equal((await chooseShards({ shards: 'auto', transport: 'net' })).seats.length, 1);
});

const there = { create: () => t.fail('it was only asked for'), withoutTls: null } as never;
const withOnly =
  (...names: readonly string[]): LoadTransport =>
  async name =>
    names.includes(name) ? there : { reason: `there is no ${name} on the moon` };

t.test('auto takes the fastest there is, and tells why not a faster one', async t => {
  for (const [at, name] of FAST_TRANSPORTS.entries()) {
    const { seats, notes } = await chooseShards({ shards: 2, transport: 'auto' }, withOnly(name, 'net'));
    t.strictSame(
      seats.filter(({ onDemand }) => onDemand !== true),
      [0, 1].map(() => ({ transport: name, speaksTls: true, inThread: false })),
    );
    t.ok(
      seats.filter(({ onDemand }) => onDemand === true).every(({ transport }) => transport === 'net'),
      'beside them what needs net',
    );
    t.equal(notes.length, at);
  }
  const { seats, notes } = await chooseShards({ shards: 1, transport: 'auto' }, withOnly());
  t.strictSame(seats, [{ transport: 'net', speaksTls: true, inThread: true }]);
  t.equal(notes.length, FAST_TRANSPORTS.length);
  for (const [at, name] of FAST_TRANSPORTS.entries())
    t.match(notes[at], `transport auto goes without ${name}: there is no ${name} on the moon`);
});

t.test('a fast transport without TLS leaves that to net, and the log says why', async t => {
  const without = async () => ({ create: () => t.fail(), withoutTls: 'has lost it' }) as never;
  const { seats, notes } = await chooseShards({ shards: 1, transport: 'auto' }, without);
  t.strictSame(notes, ['where TLS is spoken, transport net serves: io_uring has lost it']);
  t.strictSame(
    seats.slice(0, 2).map(({ speaksTls }) => speaksTls),
    [false, true],
  );
});

t.test('what is asked for by name and cannot be had is refused with the reason', async t => {
  for (const name of FAST_TRANSPORTS)
    await t.rejects(chooseShards({ shards: 1, transport: name }, withOnly()), {
      message: `transport: ${name}: there is no ${name} on the moon`,
    });
});

const skip = CAN_SHARE ? false : 'net in several shards needs Node 23.1';

t.test('two shards serve one port, and an update is for both or for none', { skip }, async t => {
  const backend = await startScriptedBackend(t, smtp());
  const settings = { ...mx([formatAddress(backend.address)]), shards: 2 };
  const instance = await startInstance(t, 'net', settings);
  const talk = async (): Promise<void> => {
    const client = await connectClient(t, instance.address());
    await client.expect(220);
    await client.command('QUIT', 221);
    client.end();
  };
  for (let round = 0; round < 40; round++) await talk();
  const { log } = instance;
  await instance.sessions(40);
  const by = new Set(log.filter(({ msg }) => msg === 'session').map(({ id }) => String(id).split('-')[0]));
  t.equal(by.size, 2, 'both have had sessions');

  const taken = createServer();
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as { port: number };
  instance.configure({
    ...settings,
    listeners: [{ name: 'mx', pool: 'mx', listen: ['127.0.0.1:0', `127.0.0.1:${port}`] }],
  });
  t.match(await instance.server.reload(), { ok: false, message: /EADDRINUSE/ });
  await talk();
  instance.configure({
    ...settings,
    listeners: [{ name: 'mx', pool: 'mx', listen: ['127.0.0.1:0', '127.0.0.1:0'] }],
  });
  const before = instance.address();
  t.match(await instance.server.reload(), { ok: true });
  t.strictSame(instance.address(), before);
  t.equal(instance.server.listening.get('mx')?.length, 2);
  await talk();
  await instance.idle();
});
