import t from 'tap';
import { type Address, formatAddress, ipAddress } from '../../lib/core/address.ts';
import type { ListenerSnapshot } from '../../lib/session/snapshot.ts';
import { createListeningSockets } from '../../lib/shard/listening-sockets.ts';
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
