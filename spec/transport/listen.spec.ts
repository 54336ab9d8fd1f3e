import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  type Address,
  formatAddress,
  type IpAddress,
  ipAddress,
  parseAddress,
} from '../../lib/core/address.ts';
import { blackHole } from '../support/black-hole.ts';
import { refusingAddress } from '../support/free-port.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { addresses, LOOPBACK, openWorld, recorder, TRANSPORTS } from './peers.ts';

const parsed = (text: string) => parseAddress(text) as Address;

for (const name of TRANSPORTS) {
  t.test(`${name}: the port that was given is told, and it is free again once closed`, async t => {
    const world = openWorld(t, name);
    for (const [kind, address] of addresses(await temporaryDirectory(t))) {
      const first = await world.listen(address);
      if (first.address.family === 'unix') t.strictSame(first.address, address);
      else t.ok(first.address.port > 0, `${kind}: ${formatAddress(first.address)}`);
      await t.rejects(world.listen(first.address), { code: 'EADDRINUSE' }, `${kind}: twice`);
      await first.close();
      const again = await world.listen(first.address);
      t.strictSame(again.address, first.address, `${kind}: free at once`);
      await again.close();
      if (address.family === 'unix') t.notOk(existsSync(address.path), 'nothing is left in the file system');
    }
  });

  t.test(`${name}: closing stops accepting and leaves what was accepted alone`, async t => {
    const world = openWorld(t, name);
    const listening = await world.listen();
    const told = recorder();
    const dialled = world.transport.connect(listening.address, told);
    t.teardown(() => dialled.destroy());
    const accepted = await listening.accept();
    await listening.close();
    const late = recorder();
    world.transport.connect(listening.address, late);
    t.equal(await late.closed(), 'refused', 'nobody listens any more');
    accepted.connection.write(Buffer.from('still here'));
    t.equal(String(await told.received(10)), 'still here');
    await t.resolves(listening.close(), 'closing twice is no fault');
  });

  t.test(`${name}: an address that cannot be had is refused with the system’s own code`, async t => {
    const world = openWorld(t, name);
    const folder = await temporaryDirectory(t);
    await t.rejects(world.listen(parsed('192.0.2.1:0')), { code: 'EADDRNOTAVAIL' }, 'not this host’s');
    await t.rejects(world.listen(parsed(`unix:${join(folder, 'no/such/folder')}`)), {
      code: /^E(ACCES|NOENT)$/,
    });
  });

  t.test(
    `${name}: all IPv4 and all IPv6 addresses are listened on beside each other, on one port`,
    async t => {
      const world = openWorld(t, name);
      const four = await world.listen(parsed('0.0.0.0:0'));
      const port = four.address.family === 'unix' ? 0 : four.address.port;
      const six = await world.listen(parsed(`[::]:${port}`));
      for (const [host, listening] of [
        ['127.0.0.1', four],
        ['::1', six],
      ] as const) {
        world.transport.connect(ipAddress(host, port) as Address, recorder());
        const accepted = await listening.accept();
        t.match(accepted.connection.remote, { host }, 'an IPv4 client has an IPv4 address');
        accepted.connection.destroy();
      }
    },
  );

  t.test(`${name}: a file that is no socket is not replaced by one`, async t => {
    const path = join(await temporaryDirectory(t), 'mail.pem');
    writeFileSync(path, 'precious');
    await t.rejects(openWorld(t, name).listen({ family: 'unix', path }), { code: 'EEXIST' });
    t.equal(readFileSync(path, 'latin1'), 'precious');
  });

  t.test(`${name}: what dialling comes to is told once, after the call`, async t => {
    const world = openWorld(t, name);
    const folder = await temporaryDirectory(t);
    const cases: readonly (readonly [string, Address, RegExp])[] = [
      ['nobody listens', await refusingAddress(), /^refused$/],
      ['nobody listens on IPv6', { ...(await refusingAddress()), family: 'ipv6', host: '::1' }, /^refused$/],
      ['no such Unix socket', parsed(`unix:${join(folder, 'none')}`), /^refused$/],
      ['a path that is no socket', parsed(`unix:${folder}`), /^(refused|failed)$/],
      ['a path too long for the kernel', parsed(`unix:/${'x'.repeat(300)}`), /^(refused|failed)$/],
      // The kernel answers itself: nothing is sent anywhere.
      ['no route', parsed('255.255.255.255:25'), /^unreachable$/],
    ];
    for (const [what, address, reason] of cases) {
      const told = recorder();
      const connection = world.transport.connect(address, told);
      t.strictSame(told.events, [], `${what}: not within the call`);
      t.match(await told.closed(), reason, what);
      connection.destroy();
      await new Promise(resolve => setImmediate(resolve));
      t.equal(told.events.length, 1, `${what}: ${told.events}`);
    }
  });

  t.test(`${name}: a connection comes from the source address it was given`, async t => {
    const world = openWorld(t, name);
    const listening = await world.listen();
    for (const host of ['127.0.0.2', '127.0.0.3']) {
      const told = recorder();
      const source = ipAddress(host, 0);
      const connection = world.transport.connect(listening.address, told, { source });
      t.teardown(() => connection.destroy());
      const accepted = await listening.accept();
      t.match(accepted.connection.remote, { host });
      await told.came('connect');
      t.match(connection.local, { host });
    }
    const told = recorder();
    world.transport.connect(listening.address, told, { source: ipAddress('192.0.2.1', 0) });
    t.strictSame(told.events, [], 'not within the call');
    t.equal(await told.closed(), 'no-ports', 'an address that this host does not have');
    const { port } = listening.address as IpAddress;
    const taken = recorder();
    world.transport.connect(listening.address, taken, { source: ipAddress('127.0.0.1', port) });
    t.equal(await taken.closed(), 'no-ports', 'a port that somebody listens on');
  });

  t.test(`${name}: who stops dialling is told nothing`, async t => {
    const world = openWorld(t, name);
    const hole = await blackHole(t);
    for (const stop of ['destroy', 'reset'] as const) {
      const told = recorder();
      const connection = world.transport.connect(hole, told);
      connection.write(Buffer.from('too early'));
      await new Promise(resolve => setImmediate(resolve));
      t.doesNotThrow(() => connection[stop]());
      await new Promise(resolve => setImmediate(resolve));
      t.strictSame(told.events, [], stop);
    }
    const told = recorder();
    world.transport.connect(LOOPBACK, told).destroy();
    await new Promise(resolve => setImmediate(resolve));
    t.strictSame(told.events, [], 'at once');
  });
}
