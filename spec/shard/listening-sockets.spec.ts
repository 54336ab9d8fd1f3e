import { closeSync, fstatSync, openSync } from 'node:fs';
import t from 'tap';
import { type Address, formatAddress, ipAddress } from '../../lib/core/address.ts';
import type { ListenerSnapshot } from '../../lib/session/snapshot.ts';
import { createListeningSockets } from '../../lib/shard/listening-sockets.ts';
import { closeForgotten, givenCopies } from '../../lib/shard/placing.ts';
import { NO_PLACES } from '../../lib/shard/sockets.ts';
import type { Transport } from '../../lib/transport/contract.ts';

const address = (port: number) => ipAddress('192.0.2.1', port) as Address;

function listener(...ports: readonly number[]): ListenerSnapshot {
  return {
    row: 0,
    name: 'mx',
    addresses: ports.map(address),
    backlog: 1,
    pool: 'mx',
    proxyFrom: [],
    tls: null,
    routing: null,
    admission: {
      allow: [],
      deny: [],
      connections: Number.POSITIVE_INFINITY,
      perClient: { connections: Number.POSITIVE_INFINITY, rate: null, ipv6Prefix: 64 },
    },
    timeouts: { proxyHeaderMs: 1, handshakeMs: 1, idleMs: 1 },
  };
}

/** A transport that binds when it is told to, and knows what is bound. */
function slowTransport() {
  const bound = new Set<string>();
  const waiting: (() => void)[] = [];
  const transport = {
    name: 'net',
    listen: (where: Address) =>
      new Promise(resolve => {
        waiting.push(() => {
          bound.add(formatAddress(where));
          resolve({
            address: where,
            descriptor: undefined,
            close: async () => void bound.delete(formatAddress(where)),
          });
        });
      }),
  } as unknown as Transport;
  return { transport, bound, bind: () => waiting.shift()?.() };
}

t.test('an instance that stops while it reloads listens nowhere any more', async t => {
  const { transport, bound, bind } = slowTransport();
  const sockets = createListeningSockets(transport, () => {});
  const started = sockets.prepare([listener(25)], NO_PLACES);
  bind();
  await (await started).commit();
  t.strictSame([...bound], ['192.0.2.1:25']);

  const reloaded = sockets.prepare([listener(25, 587)], NO_PLACES);
  await sockets.close();
  bind();
  await t.rejects(reloaded, { message: 'the instance is stopping' });
  t.strictSame([...bound], []);
  await t.rejects(sockets.prepare([listener(25)], NO_PLACES), { message: 'the instance is stopping' });
  t.strictSame([...bound], []);
});

t.test('a socket that was handed over for an update that fails is not left open', async t => {
  const { transport } = slowTransport();
  const refusing = {
    ...transport,
    listen: async () => Promise.reject(Object.assign(new Error('taken'), { code: 'EADDRINUSE' })),
  } as unknown as Transport;
  const sockets = createListeningSockets(refusing, () => {});
  const descriptor = openSync('/dev/null', 'r');
  const inherited = new Map([['192.0.2.1:587', [{ descriptor, foreign: false }]]]);
  await t.rejects(sockets.prepare([listener(25, 587)], { ...NO_PLACES, inherited }), /EADDRINUSE/);
  t.throws(() => fstatSync(descriptor), { code: 'EBADF' });
});

t.test('copies that a thread did not live to take are closed, and no others', async t => {
  const [copy, strange, gone] = [
    openSync('/dev/null', 'r'),
    openSync('/dev/zero', 'r'),
    openSync('/dev/null', 'r'),
  ];
  const given = givenCopies(
    new Map([['a', [copy, strange, gone].map(descriptor => ({ descriptor, foreign: false }))]]),
  );
  // Somebody else's by now, and nobody's.
  closeSync(strange);
  t.equal(openSync('/dev/full', 'r'), strange);
  closeSync(gone);
  closeForgotten(given);
  t.throws(() => fstatSync(copy), { code: 'EBADF' });
  t.ok(fstatSync(strange));
  closeSync(strange);
});
