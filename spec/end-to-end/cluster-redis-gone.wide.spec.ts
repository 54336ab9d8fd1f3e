/** Redis stops, dies and comes back under sessions; spec/slow/redis-faults.spec.ts has the whole list and the figures. */
import t from 'tap';
import { COMMAND_MS } from '../../lib/cluster/limits.ts';
import { formatAddress } from '../../lib/core/address.ts';
import { settle } from '../cluster/leasing.ts';
import { eventually } from '../support/eventually.ts';
import { FASTEST, type Instance, mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { startRedis } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const SESSIONS = 30;
/** The longest that a session waits for its greeting; each is another client, that Redis must be asked about. */
async function longestWait(owner: Owner, instances: readonly Instance[], net: number): Promise<number> {
  let longest = 0;
  for (let at = 0; at < SESSIONS; at++) {
    const instance = instances[at % instances.length] as Instance;
    const from = performance.now();
    const client = await connectClient(owner, instance.address(), { from: `127.0.${net}.${at + 1}` });
    await client.expect(220);
    longest = Math.max(longest, performance.now() - from);
    await client.command('QUIT', 221);
    client.end();
  }
  return longest;
}

t.test(
  `${FASTEST}: Redis stopped, killed and started again under sessions`,
  needs('redis-server'),
  async t => {
    const server = await startRedis(t);
    await settle(server, 'mx/b1');
    const backends = await Promise.all([1, 2].map(() => startScriptedBackend(t, smtp())));
    const [b1, b2] = backends.map(({ address }) => formatAddress(address));
    const settings = (instance: string) => ({
      instance,
      cluster: { name: 'edge', redis: `redis://127.0.0.1:${server.port}` },
      ...mx(
        [{ address: b1, maxConnections: { count: 10, scope: 'cluster' } }, { address: b2 }],
        { sticky: { by: 'client-address' } },
        { limits: { perClient: { connections: 20, scope: 'cluster' } } },
      ),
    });
    const all = [
      await startInstance(t, FASTEST, settings('a')),
      await startInstance(t, FASTEST, settings('b')),
    ];
    const both = async () => {
      for (const instance of all)
        await eventually(
          'both',
          async () => (await instance.metrics()).value('smtplb_cluster_instances') === 2,
        );
    };
    await both();
    const without = await longestWait(t, all, 1);

    server.process.kill('SIGSTOP');
    const stopped = await longestWait(t, all, 2);
    server.process.kill('SIGCONT');
    server.process.kill('SIGKILL');
    const killed = await longestWait(t, all, 3);
    await server.again();
    for (const instance of all)
      await eventually('Redis', async () => (await instance.metrics()).value('smtplb_redis_up') === 1);
    await both();

    const told = [without, stopped, killed].map(ms => ms.toFixed()).join(', ');
    t.comment(`the longest wait for a greeting: with Redis, with one that is stopped, without: ${told} ms`);
    t.ok(Math.max(stopped, killed) < COMMAND_MS, 'less than a command may take: nobody waits for one');
    for (const { log } of all) {
      const lines = log.map(({ msg }) => `${msg}`).filter(line => /^redis is (?:not )?reachable/.test(line));
      t.match(lines, [/^redis is reachable/, /^redis is not reachable/, /^redis is reachable/]);
      // A machine that stands still for seconds may bring another change: never two lines for one.
      t.ok(
        lines.every((line, at) => /not/.test(line) === (at % 2 === 1)),
        `one line a change: ${lines.join(', ')}`,
      );
    }
  },
);
