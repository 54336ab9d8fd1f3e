/** A configuration changes under running sessions. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { status } from '../support/admin-api.ts';
import { eventually } from '../support/eventually.ts';
import { freeAddress, loopback } from '../support/free-port.ts';
import { type Instance, mx, startInstance, TRANSPORTS } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { accepts } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient, type SmtpClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

async function backend(owner: Owner, name: string) {
  const { address, connections } = await startScriptedBackend(owner, smtp({ hostName: `${name}.example` }));
  return { name, address: formatAddress(address), connections };
}

async function greeted(owner: Owner, address: Address, by: RegExp, from?: string): Promise<SmtpClient> {
  const client = await connectClient(owner, address, from === undefined ? {} : { from });
  await client.expect(by);
  return client;
}

async function quit(...clients: readonly SmtpClient[]): Promise<void> {
  for (const client of clients) {
    await client.command('QUIT', 221);
    client.end();
  }
}

/** Connects again and again, and fails for good if once nobody answers, or somebody else. */
function knocking(owner: Owner, address: Address) {
  let over = false;
  let count = 0;
  const ending = (async () => {
    while (!over) {
      await quit(await greeted(owner, address, /^220 /));
      count++;
    }
    return count;
  })();
  ending.catch(() => {});
  return {
    some: (more: number) => {
      const until = count + more;
      return eventually(`${more} more knocks`, () => count >= until);
    },
    stop() {
      over = true;
      return ending;
    },
  };
}

async function reload(instance: Instance, settings: Parameters<Instance['configure']>[0]): Promise<string> {
  instance.configure(settings);
  const { ok, message } = await instance.server.reload();
  if (!ok) throw new Error(message);
  return message;
}

for (const transport of TRANSPORTS) {
  t.test(`${transport}: listeners come, go, move, and change their names without a gap`, async t => {
    const [one, two] = [await backend(t, 'one'), await backend(t, 'two')];
    const path: Address = { family: 'unix', path: join(await temporaryDirectory(t), 'smtp.sock') };
    const [first, second, third] = [await freeAddress(), await freeAddress(), await freeAddress()];
    const pools = [one, two].map(({ name, address }) => ({ name, backends: [{ name, address }] }));
    const listener = (name: string, pool: string, ...listen: readonly Address[]) => ({
      name,
      pool,
      listen: listen.map(formatAddress),
    });
    const with_ = (...listeners: readonly Readonly<Record<string, unknown>>[]) => ({ pools, listeners });
    const instance = await startInstance(t, transport, with_(listener('a', 'one', first)));
    const running = await greeted(t, first, /one\.example/);
    const knocks = knocking(t, first);
    await knocks.some(3);

    t.equal(
      await reload(instance, with_(listener('a', 'one', first), listener('b', 'two', second, path))),
      'generation 2 is in use',
    );
    await quit(
      await greeted(t, second, /two/),
      await greeted(t, path, /two/),
      await greeted(t, first, /one/),
    );

    // b leaves one address and keeps the other, a has another pool.
    await reload(instance, with_(listener('a', 'two', first), listener('b', 'two', third, path)));
    t.equal(await accepts(second), false);
    await quit(await greeted(t, third, /two/), await greeted(t, path, /two/), await greeted(t, first, /two/));

    // The names change sides: sockets stay where they are.
    await reload(instance, with_(listener('b', 'one', first), listener('a', 'two', third)));
    t.equal(await accepts(path), false, 'the path is closed');
    await quit(await greeted(t, first, /one/), await greeted(t, third, /two/));
    await reload(instance, with_(listener('renamed', 'one', first)));
    t.same([...instance.server.listening.keys()], ['renamed']);
    t.equal(await accepts(third), false);
    await knocks.some(3);
    t.comment(`${await knocks.stop()} sessions on the address that stayed, none failed`);

    await running.command('EHLO still.here', 250);
    await running.deliver();
    await quit(running);
    await instance.idle();
    const record = await instance.logged('the first session', ({ helloName }) => helloName === 'still.here');
    t.match(record, { listener: 'a', pool: 'one', backend: 'one', cause: 'normal' });
  });

  t.test(
    `${transport}: pools and backends come, go and change; sessions keep what they began with`,
    async t => {
      const [one, two, three] = [await backend(t, 'one'), await backend(t, 'two'), await backend(t, 'three')];
      const pool = (name: string, ...backends: readonly { name: string; address: string }[]) => ({
        name,
        backends: backends.map(({ name, address }) => ({ name, address })),
      });
      const listeners = [{ name: 'mx', pool: 'mx' }];
      const instance = await startInstance(t, transport, { listeners, pools: [pool('mx', one, two)] });
      const address = instance.address();
      const clients = [await greeted(t, address, /^220/), await greeted(t, address, /^220/)];
      const before = (await status(instance.admin)).pools[0]?.backends[1];
      t.match(before, { name: 'two', picks: 1, active: 1 });

      // one goes, three comes, two stays: it has a session already.
      await reload(instance, { listeners, pools: [pool('mx', two, three)] });
      const third = await greeted(t, address, /three\.example/);
      const document = await status(instance.admin);
      t.match(document.pools[0]?.backends, [
        { name: 'two', picks: 1, active: 1 },
        { name: 'three', picks: 1, active: 1 },
      ]);
      t.match(document.listeners[0], { accepted: 3, active: 3 }, 'counters go on');
      t.equal((await instance.metrics()).sum('smtplb_sessions_accepted_total', { listener: 'mx' }), 3);

      // two has another address now.
      await reload(instance, { listeners, pools: [pool('mx', { ...two, address: one.address })] });
      const moved = await greeted(t, address, /one\.example/);
      // Another pool, by another name; the old one is gone with its backends.
      await reload(instance, { listeners: [{ name: 'mx', pool: 'new' }], pools: [pool('new', three)] });
      const fresh = await greeted(t, address, /three\.example/);

      for (const client of [...clients, third, moved, fresh]) {
        await client.command('EHLO still.here', 250);
        await client.deliver();
      }
      await quit(...clients, third, moved, fresh);
      await instance.idle();
      t.same(
        (await instance.sessions(5)).map(({ cause, pool, backend }) => `${pool}/${backend} ${cause}`).sort(),
        ['mx/one normal', 'mx/three normal', 'mx/two normal', 'mx/two normal', 'new/three normal'],
      );
      // What comes back has its counters again.
      await reload(instance, { listeners, pools: [pool('mx', one, two, three)] });
      t.same(
        (await status(instance.admin)).pools[0]?.backends.map(({ name, picks }) => `${name} ${picks}`),
        ['one 1', 'two 2', 'three 1'],
      );
    },
  );

  t.test(`${transport}: a backend that moves is not blamed for where it was`, async t => {
    const good = await backend(t, 'good');
    const nobody = formatAddress(await freeAddress());
    const pool = { passiveHealth: { failures: 1, pause: '1m', maxPause: '1m' } };
    const instance = await startInstance(t, transport, mx([nobody], pool));
    const refused = await connectClient(t, instance.address());
    await refused.expect(421);
    refused.end();
    t.match((await status(instance.admin)).pools[0]?.backends, [{ failuresInARow: 1 }]);
    await reload(instance, mx([good.address], pool));
    await quit(await greeted(t, instance.address(), /good/));
    await instance.idle();
  });

  t.test(`${transport}: a bad file changes nothing and says why`, async t => {
    const one = await backend(t, 'one');
    const instance = await startInstance(t, transport, mx([one.address]));
    const running = await greeted(t, instance.address(), /one/);
    const bad: (readonly [string, RegExp])[] = [
      ['', /^settings:1:1: the file is empty/m],
      ['listeners: [', /^settings:\d+:\d+: not YAML/m],
      [
        'listeners:\n- { listen: "127.0.0.1:0", pool: my }\npools:\n- { name: mx, backends: [{ address: "127.0.0.1:1" }] }\n',
        /^settings:2:\d+: listeners\[0\]\.pool: .*did you mean `mx`\?$/m,
      ],
    ];
    for (const [text, expected] of bad) {
      instance.configure(text);
      const { ok, message } = await instance.server.reload();
      t.equal(ok, false);
      t.match(message, /^the configuration has faults:\n/);
      t.match(message, expected);
      t.match(message, /\nthe configuration in use is unchanged$/);
    }
    instance.configure({
      ...mx([one.address]),
      pools: [{ name: 'mx', backends: [{ address: 'no-such-host.invalid:25' }] }],
    });
    t.match((await instance.server.reload()).message, /no-such-host\.invalid has no address/);
    const { generation, lastReload } = await status(instance.admin);
    t.equal(generation, 1);
    t.match(lastReload, { ok: false, message: /no-such-host/ });
    t.equal(
      instance.log.filter(({ level, msg }) => level === 'error' && /^reload: /.test(String(msg))).length,
      4,
    );
    await quit(running, await greeted(t, instance.address(), /one/));
    await instance.idle();
  });

  t.test(`${transport}: an address in use changes nothing`, async t => {
    const [one, two] = [await backend(t, 'one'), await backend(t, 'two')];
    const taken = createServer();
    await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve));
    t.teardown(() => taken.close());
    const bound = taken.address();
    const busy = loopback(typeof bound === 'object' && bound !== null ? bound.port : 0);
    const [kept, free] = [await freeAddress(), await freeAddress()];
    const settings = (pool: { address: string }, ...listen: readonly Address[]) => ({
      listeners: [{ name: 'mx', pool: 'mx', listen: listen.map(formatAddress) }],
      pools: [{ name: 'mx', backends: [{ name: 'b1', address: pool.address }] }],
    });
    const instance = await startInstance(t, transport, settings(one, kept));
    for (let count = 0; count < 3; count++) {
      instance.configure(settings(two, free, busy));
      const { ok, message } = await instance.server.reload();
      t.equal(ok, false);
      t.match(
        message,
        /^listener mx cannot listen on 127\.0\.0\.1:\d+: another process listens there \(EADDRINUSE\)\n/,
      );
      t.equal(await accepts(free), false, 'what was opened for it is closed again');
      await quit(await greeted(t, kept, /one\.example/));
    }
    await reload(instance, settings(two, free));
    t.equal(await accepts(kept), false);
    await quit(await greeted(t, free, /two\.example/));
    await instance.idle();
  });

  t.test(`${transport}: keys that wait for a restart are named, each time`, async t => {
    const one = await backend(t, 'one');
    const settings = mx([one.address]);
    const instance = await startInstance(t, transport, settings);
    const changed = {
      ...settings,
      instance: 'other',
      shards: 'auto',
      admin: { listen: 'off', maxConnections: 9 },
    };
    for (const listener of [{}, { backlog: 7 }]) {
      const listeners = [{ name: 'mx', pool: 'mx', ...listener }];
      const message = await reload(instance, { ...changed, listeners });
      t.match(
        message,
        /; these wait for a restart: instance, shards, admin\.listen, admin\.maxConnections(?:, |$)/,
      );
      t.equal(message.includes('backlog of listener mx'), 'backlog' in listener);
    }
    t.equal((await status(instance.admin)).instance, 'test', 'they do wait');
    t.notMatch(await reload(instance, settings), /instance|shards|admin/);
  });

  t.test(`${transport}: limits hold over a reload, for those who are in already`, async t => {
    const one = await backend(t, 'one');
    const limited = (connections: number, rate?: string) =>
      mx([one.address], {}, { limits: { perClient: { connections, ...(rate && { rate }) } } });
    const instance = await startInstance(t, transport, limited(2));
    const address = instance.address();
    const clients = [
      await greeted(t, address, /^220/, '127.0.0.2'),
      await greeted(t, address, /^220/, '127.0.0.2'),
    ];
    const refused = async (from: string) => {
      const client = await connectClient(t, address, { from });
      await client.expect(/^421 4\.7\.0 /);
      client.end();
    };
    await refused('127.0.0.2');
    await reload(instance, limited(2));
    await refused('127.0.0.2');
    await reload(instance, limited(3));
    clients.push(await greeted(t, address, /^220/, '127.0.0.2'));
    await refused('127.0.0.2');
    await reload(instance, limited(1));
    await refused('127.0.0.2');
    t.ok(
      clients.every(({ closing }) => closing === 'open'),
      'nobody is thrown out',
    );
    await quit(...clients);
    await eventually(
      'the client to be forgotten',
      async () => (await status(instance.admin)).listeners[0]?.active === 0,
    );
    await quit(await greeted(t, address, /^220/, '127.0.0.2'));
    await instance.idle();
  });
}
