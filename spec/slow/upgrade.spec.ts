/** Restart without a gap: upgrades of the real command, under load and against what can go wrong. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { post, status } from '../support/admin-api.ts';
import { COMMAND, megabytes, startCommand, usageOf } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { freeAddress } from '../support/free-port.ts';
import { FASTEST, mx } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import { startSmtpSink } from '../support/postfix-tools.ts';
import { accepts, run } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { allAt, ended, gone, load, pids, upgraded } from './upgrading.ts';

const UPGRADES = 20;
/** Each session waits for up to a second before each message: two hundred a second in all, and time for the upgrades. */
const PACED = { sessions: 25, messages: 250, flags: ['-R', '1'] } as const;
/** Each process has another number of shards than the one before it, where the transport is one for several. */
const SHARDS = FASTEST !== 'net' ? [2, 1, 3] : [1];

t.test('twenty upgrades under load', { timeout: 300_000, ...needs('smtp-source', 'smtp-sink') }, async t => {
  const sinks = [await startSmtpSink(t, { flags: ['-c'] }), await startSmtpSink(t, { flags: ['-c'] })];
  const idle = await startScriptedBackend(t, smtp());
  const directory = await temporaryDirectory(t);
  const admin: Address = { family: 'unix', path: join(directory, 'admin.sock') };
  const local: Address = { family: 'unix', path: join(directory, 'smtp.sock') };
  const settings = {
    ...mx([...sinks.map(({ address }) => formatAddress(address)), formatAddress(idle.address)]),
    listeners: [
      { name: 'mx', pool: 'mx' },
      { name: 'second', pool: 'mx' },
      { name: 'local', pool: 'mx', listen: formatAddress(local) },
    ],
    admin: { socket: admin.path },
    drainTimeout: '20s',
  };
  const command = await startCommand(t, { ...settings, shards: SHARDS[0] });
  ended(t, command);
  t.equal((await post(admin, 'pools/mx/backends/b3/drain')).status, 200);
  t.equal((await post(admin, 'pools/mx/backends/b2/weight', { weight: 7 })).status, 200);

  const [first, second] = [command.addressOf('mx'), command.addressOf('second')];
  const loads = [
    load(t, first, { ...PACED, keepConnections: false }),
    load(t, second, { ...PACED, keepConnections: false }),
    load(t, local, { ...PACED, keepConnections: false }),
    load(t, first, { ...PACED, keepConnections: true }),
  ];
  const usages = [];
  const startedAt = performance.now();
  for (let count = 0; count < UPGRADES; count++) {
    await command.configure({ ...settings, shards: SHARDS[(count + 1) % SHARDS.length] });
    const pid = await upgraded(command, admin);
    usages.push(usageOf(pid).descriptors);
    if (loads.some(({ failures }) => failures.length > 0)) break;
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const delivered = await Promise.all(loads.map(one => one.stop()));
  t.same(
    loads.flatMap(({ failures }) => failures),
    [],
    'no session failed',
  );
  const messages = delivered.reduce((sum, count) => sum + count, 0);
  t.comment(
    `${UPGRADES} upgrades in ${seconds.toFixed(1)} s, ${messages} messages: ${delivered.join(' + ')}`,
  );
  t.ok(messages > 1_000);

  const all = pids(command);
  const last = all.pop() as number;
  t.equal(all.length, UPGRADES);
  t.equal(new Set(all).size, UPGRADES, 'each a process of its own');
  for (const pid of all) await gone(pid);
  const alike = usages.filter((_, at) => (UPGRADES - 1 - at) % SHARDS.length === 0);
  t.comment(`descriptors at each handover: ${usages.join(', ')}`);
  await eventually('no descriptor that was handed down and nobody asked for', () => {
    const { descriptors } = usageOf(last);
    if (descriptors > Math.min(...alike)) throw new Error(`${descriptors} of ${alike.join(', ')}`);
    return true;
  });
  t.comment(`at rest: ${JSON.stringify(usageOf(last))}`);

  const { generation, listeners, pools } = await status(admin);
  t.equal(generation, 1, 'this process is a new one');
  t.same(
    listeners.map(({ addresses }) => addresses[0]),
    [first, second, local].map(formatAddress),
    'the listening sockets are the first ones',
  );
  t.match(pools[0]?.backends, [{ admin: 'ready' }, { weight: 7, configuredWeight: 1 }, { admin: 'drain' }]);
  t.equal(idle.connections.length, 0, 'what was drained stayed drained');
  t.equal(statSync(admin.path).mode & 0o777, 0o660);
  const client = await connectClient(t, local);
  await client.expect(220);
  await client.command('QUIT', 221);
  client.end();
  await command.idle();

  process.kill(last, 'SIGTERM');
  await gone(last);
  t.notOk(existsSync(admin.path), 'the admin socket is gone with the last process');
  t.notOk(existsSync(local.path), 'and so is the listener on a path');
  const exit = await command.process.exited;
  const ends = new Map<string, number>();
  for (const { cause, phase } of command.sessions())
    ends.set(`${cause}/${phase}`, (ends.get(`${cause}/${phase}`) ?? 0) + 1);
  t.comment(JSON.stringify(Object.fromEntries(ends)));
  // smtp-source leaves without reading the reply to its QUIT: that is a reset.
  t.same(
    [...ends.keys()].filter(end => end !== 'normal/relaying' && end !== 'client-reset/relaying'),
    [],
  );
  t.notMatch(exit.stdout, /"level":"error"/);
  await allAt(sinks, messages);
});

t.test('quick upgrades with sessions, streams and callers open: every old process ends', async t => {
  const backend = await startScriptedBackend(t, smtp());
  const admin: Address = { family: 'unix', path: join(await temporaryDirectory(t), 'admin.sock') };
  const command = await startCommand(t, {
    ...mx([formatAddress(backend.address)]),
    admin: { socket: admin.path },
    drainTimeout: '1500ms',
  });
  ended(t, command);
  for (let count = 0; count < 6; count++) {
    // One in the handshake, one in DATA, one that watches the page, one that calls and says nothing.
    const clients = [await connectClient(t, command.address), await connectClient(t, command.address)];
    for (const client of clients) await client.expect(220);
    await clients[1]?.command('EHLO me.example', 250);
    await clients[1]?.command('MAIL FROM:<>', 250);
    await clients[1]?.command('DATA', 354);
    const stream = await connectClient(t, command.admin);
    await stream.write('GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await stream.until('data: ');
    const mute = await connectClient(t, command.admin);
    await mute.write('GET / HTTP/1.1\r\nHost: local');
    await upgraded(command, admin);
  }
  const all = pids(command);
  const last = all.pop() as number;
  const startedAt = performance.now();
  for (const pid of all) await gone(pid);
  const took = performance.now() - startedAt;
  t.comment(
    `all gone ${took.toFixed(0)} ms after the last upgrade: drainTimeout, and 2 s in which clients may read their 421`,
  );
  process.kill(last, 'SIGTERM');
  await gone(last);
});

t.test('a new process that cannot start changes nothing', async t => {
  const backend = await startScriptedBackend(t, smtp());
  const directory = await temporaryDirectory(t);
  const admin: Address = { family: 'unix', path: join(directory, 'admin.sock') };
  const local: Address = { family: 'unix', path: join(directory, 'smtp.sock') };
  const listeners = [
    { name: 'local', pool: 'mx', listen: formatAddress(local) },
    { name: 'mx', pool: 'mx' },
  ];
  const settings = {
    ...mx([formatAddress(backend.address)]),
    listeners,
    admin: { socket: admin.path },
  };
  const command = await startCommand(t, settings);
  ended(t, command);
  const address = command.addressOf('mx');
  const serves = async () => {
    for (const door of [address, local]) {
      const client = await connectClient(t, door);
      await client.expect(220);
      await client.command('QUIT', 221);
      client.end();
    }
    t.equal((await status(admin)).state, 'running');
  };

  await command.configure({ ...settings, pools: [{ name: 'mx', backends: [] }] });
  const [program, ...before] = COMMAND;
  const refused = await run(t, program, [...before, 'upgrade', '--admin', formatAddress(admin)]);
  t.equal(refused.exitCode, 1);
  t.match(refused.stderr, /^smtplb: the new process ended before it was ready/);
  t.match(refused.stderr, new RegExp(`this process \\(${command.process.pid}\\) carries on`));
  t.ok(await command.process.printed(/smtplb\.yaml:1:\d+: pools\[0\]\.backends/), 'it printed why');
  await serves();

  const taken = createServer();
  const port = await new Promise<Address>(resolve =>
    taken.listen(0, '127.0.0.1', () => {
      const bound = taken.address();
      if (typeof bound === 'object' && bound !== null)
        resolve({ family: 'ipv4', host: '127.0.0.1', port: bound.port });
    }),
  );
  t.teardown(() => taken.close());
  await command.configure({
    ...settings,
    listeners: [...listeners, { name: 'new', pool: 'mx', listen: formatAddress(port) }],
  });
  const busy = await post(admin, 'upgrade');
  t.equal(busy.status, 409);
  t.match(busy.message, /ended before it was ready/);
  t.ok(await command.process.printed(/listener new cannot listen on .*EADDRINUSE/));
  await serves();

  // The admin listener comes last: by then all listeners are open.
  await command.configure({ ...settings, admin: { socket: admin.path, listen: formatAddress(port) } });
  t.equal((await post(admin, 'upgrade')).status, 409);
  t.ok(await command.process.printed(/the admin listener cannot listen on .*EADDRINUSE/));
  await serves();
  t.ok(await command.process.printed(/"level":"error".*"upgrade: carrying on"/));

  await command.configure(settings);
  const pid = await upgraded(command, admin);
  await gone(command.process.pid);
  await serves();
  process.kill(pid, 'SIGTERM');
  await gone(pid);
  t.notOk(existsSync(local.path));
});

t.test('the configuration may change at an upgrade: sockets go where they belong', async t => {
  const backend = await startScriptedBackend(t, smtp({ hostName: 'one.example' }));
  const other = await startScriptedBackend(t, smtp({ hostName: 'two.example' }));
  const directory = await temporaryDirectory(t);
  const admin: Address = { family: 'unix', path: join(directory, 'admin.sock') };
  const gonePath: Address = { family: 'unix', path: join(directory, 'gone.sock') };
  const [kept, removed, moved, fresh] = [
    await freeAddress(),
    await freeAddress(),
    await freeAddress(),
    await freeAddress(),
  ];
  const pools = [
    { name: 'one', backends: [{ address: formatAddress(backend.address) }] },
    { name: 'two', backends: [{ address: formatAddress(other.address) }] },
  ];
  const listener = (name: string, pool: string, address: Address) => ({
    name,
    pool,
    listen: formatAddress(address),
  });
  const command = await startCommand(t, {
    pools,
    admin: { socket: admin.path },
    listeners: [
      listener('removed', 'one', removed),
      listener('path', 'one', gonePath),
      listener('moving', 'one', moved),
      listener('kept', 'one', kept),
    ],
  });
  ended(t, command);
  // "moving" leaves its address to "kept2", which is "kept" by another name, and takes a new one.
  await command.configure({
    pools,
    admin: { socket: admin.path },
    listeners: [listener('moving', 'one', fresh), listener('kept2', 'two', kept)],
  });
  const pid = await upgraded(command, admin);
  await gone(command.process.pid);
  t.equal(await accepts(removed), false, 'nobody listens for a listener that is gone');
  t.equal(await accepts(moved), false, 'nor where one was');
  t.notOk(existsSync(gonePath.path));
  for (const [address, greeting] of [
    [fresh, /one\.example/],
    [kept, /two\.example/],
  ] as const) {
    const client = await connectClient(t, address);
    await client.expect(greeting);
    await client.command('QUIT', 221);
    client.end();
  }
  t.ok(await command.process.printed(/"socket":"removed on .*no listener wants this inherited socket/));
  t.comment(`memory of the successor: ${megabytes(usageOf(pid).rss)}`);
  process.kill(pid, 'SIGTERM');
  await gone(pid);
});

t.test('told to stop during an upgrade: nobody is left', async t => {
  const backend = await startScriptedBackend(t, smtp());
  const admin: Address = { family: 'unix', path: join(await temporaryDirectory(t), 'admin.sock') };
  // The client says goodbye when all else has been looked at.
  const patience = { drainTimeout: '60s', admin: { socket: admin.path } };
  const second = await startCommand(t, { ...mx([formatAddress(backend.address)]), ...patience });
  ended(t, second);
  const client = await connectClient(t, second.address);
  await client.expect(220);
  // The new process reads its configuration from a pipe, and gets it when all is said: until then it is not ready.
  const settings = await readFile(second.file);
  await rm(second.file);
  t.equal((await run(t, 'mkfifo', [second.file])).exitCode, 0);
  t.teardown(async () => (await open(second.file, 'r+')).close()); // whoever still waits for the other end
  const upgrading = post(admin, 'upgrade');
  const successor = await eventually('a new process', () =>
    groupOf(second.process.pid).find(({ pid, name }) => pid !== second.process.pid && name === 'node'),
  );
  const word = await post(admin, 'pools/mx/backends/b1/drain');
  t.equal(word.status, 409, 'what is said now the successor would not know');
  t.match(word.message, /an upgrade is under way/);
  second.process.kill('SIGTERM');
  await second.process.printed(/stopping: no new sessions/);
  await writeFile(second.file, settings);
  t.match((await upgrading).message, /told to stop meanwhile/);
  await client.command('QUIT', 221);
  client.end();
  await gone(second.process.pid);
  await gone(successor.pid);
  t.equal(await accepts(second.address), false);
});

/** The processes of a process group: a successor is no child of its predecessor, but stays in its group. */
function groupOf(group: number): { readonly pid: number; readonly name: string }[] {
  return readdirSync('/proc').flatMap(entry => {
    try {
      const [, pid, name = '', processGroup] =
        /^(\d+) \((.*)\) \S \d+ (\d+) /s.exec(readFileSync(`/proc/${entry}/stat`, 'latin1')) ?? [];
      return Number(processGroup) === group ? [{ pid: Number(pid), name }] : [];
    } catch {
      return []; // no process, or gone already
    }
  });
}
