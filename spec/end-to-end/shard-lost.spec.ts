/** A shard in a thread of its own that ends without having been told to, in each phase of a session. */
import type { Worker } from 'node:worker_threads';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { spawnShard } from '../../lib/shard/spawn.ts';
import type { ShardChoice } from '../../lib/shards.ts';
import { delivers } from '../shard/delivers.ts';
import { mx, startInstance, TRANSPORTS, type TransportName } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

async function threaded(
  owner: Owner,
  transport: TransportName,
  settings: Parameters<typeof startInstance>[2],
) {
  const workers: Worker[] = [];
  const shards: ShardChoice = {
    seats: [{ transport, speaksTls: true, inThread: false }],
    notes: [],
    spawn(start) {
      const worker = spawnShard(start);
      workers.push(worker);
      return worker;
    },
  };
  const instance = await startInstance(owner, 'net', settings, shards);
  return { instance, lose: () => workers.at(-1)?.terminate() };
}

for (const transport of TRANSPORTS)
  t.test(`${transport}: a shard that is lost is replaced, and all it held is given back`, async t => {
    const backend = await startScriptedBackend(t, smtp());
    const { instance, lose } = await threaded(
      t,
      transport,
      mx([formatAddress(backend.address)], {}, { limits: { perClient: { connections: 2 } } }),
    );
    const before = instance.address();

    const greeted = await connectClient(t, before);
    await greeted.expect(220);
    const relaying = await connectClient(t, before);
    await relaying.expect(220);
    await relaying.command('EHLO lost.example', 250);
    await relaying.command('MAIL FROM:<>', 250);
    t.equal((await instance.metrics()).sum('smtplb_backend_sessions_active'), 2);

    await lose();
    // Node closes its sockets with the thread; those of the others wait for the next shard, and who comes with them.
    const waits = transport === 'net' ? null : await connectClient(t, before);
    const isLate = instance.log.some(({ msg }) => msg === 'the shard has been replaced');
    t.comment(`a client came ${isLate ? 'after' : 'before'} the next shard`);
    const told = await instance.logged('that it was lost', ({ msg }) => String(msg).includes('was lost'));
    t.match(told, { level: 'error', shard: 0, transport, sessions: 2, delayMs: 0 });
    await instance.logged('that it was replaced', ({ msg }) => msg === 'the shard has been replaced');
    await waits?.expect(220);
    await waits?.command('QUIT', 221);
    waits?.end();
    await instance.idle();
    t.strictSame(instance.address(), before, 'at the same address');
    // With a count left behind the client would be at its limit by the second.
    await delivers(t, instance);
    await instance.idle();
    await Promise.all([delivers(t, instance), delivers(t, instance)]);
    await instance.idle();

    const metrics = await instance.metrics();
    t.equal(metrics.sum('smtplb_shard_restarts_total'), 1);
    t.equal(metrics.sum('smtplb_shard_up'), 1);
  });

for (const transport of TRANSPORTS)
  t.test(
    `${transport}: one that is lost again at once is replaced after a while, and what was said meanwhile holds`,
    async t => {
      const [one, two] = [await startScriptedBackend(t, smtp()), await startScriptedBackend(t, smtp())];
      const { instance, lose } = await threaded(t, transport, mx([formatAddress(one.address)]));
      for (const restarts of [1, 2]) {
        await lose();
        await instance.logged(
          `replacement ${restarts}`,
          () => instance.log.filter(({ msg }) => msg === 'the shard has been replaced').length === restarts,
        );
      }
      const delays = instance.log.filter(({ msg }) => String(msg).includes('was lost'));
      t.match(delays, [{ delayMs: 0 }, { delayMs: 100 }]);
      instance.configure(mx([formatAddress(two.address)]));
      t.match(await instance.server.reload(), { ok: true });
      await lose();
      await instance.logged(
        'replacement 3',
        () => instance.log.filter(({ msg }) => msg === 'the shard has been replaced').length === 3,
      );
      await delivers(t, instance);
      t.equal(two.connections.length, 1, 'by the configuration of the reload');
      t.equal(one.connections.length, 0);
    },
  );
