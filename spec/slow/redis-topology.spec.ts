/** PROOF fault 11 where Redis is several: a fail-over and the old primary's return, and slots that move. */
import t, { type Test } from 'tap';
import { eventually } from '../support/eventually.ts';
import { needs } from '../support/needs.ts';
import {
  type RedisCluster,
  type RedisServer,
  startRedis,
  startRedisCluster,
  startSentinelSet,
} from '../support/redis.ts';
import { keys, startArena } from './redis-arena.ts';
import { type Control, openControl } from './redis-control.ts';
import { ordeal } from './redis-ordeal.ts';

const redis = { timeout: 300_000, ...needs('redis-server', 'redis-cli') };

/** The time Sentinels take to agree, as they are configured, and some. */
const FAIL_OVER_MS = 8_000;

t.test('Sentinel: the primary dies, its replica takes over, and it returns', redis, async t => {
  const { config, primary, replica, sentinels } = await startSentinelSet(t);
  if (config.kind !== 'sentinel') throw new Error('no Sentinels');
  const way = { sentinels: sentinels.map(port => `127.0.0.1:${port}`), master: config.master };
  const arena = await startArena(t, primary, { way });
  const role = async (control: Control) => ((await control('role')) as unknown[])[0];
  const [atPrimary, atReplica] = [openControl(t, primary), openControl(t, replica)];
  await ordeal(t, arena, {
    what: 'the primary killed',
    begin: () => primary.process.kill('SIGKILL'),
    isNoticed: true,
    end: () =>
      eventually('the replica to take over', async () => (await role(atReplica)) === 'master', 30_000),
    healMs: FAIL_OVER_MS,
  });
  // It believes to be the primary still, until the Sentinels tell it otherwise: those who find it must leave it.
  await ordeal(t, arena, {
    what: 'the old primary returns',
    begin: async () => {
      await startRedis(t, { port: primary.port });
      await eventually('it to be a replica', async () => (await role(atPrimary)) === 'slave', 30_000);
    },
  });
  t.equal(await role(atReplica), 'master');
});

/** Moves the slot of all keys from the node that has it to the next, some keys at a time, as a resharding does. */
async function moveSlot(t: Test, { nodes }: RedisCluster, from: RedisServer, to: RedisServer): Promise<void> {
  const controls = new Map(nodes.map(node => [node, openControl(t, node)]));
  const [there, here] = [controls.get(to), controls.get(from)] as [Control, Control];
  const slot = Number(await here('cluster', 'keyslot', keys.prefix));
  const [source, target] = [await here('cluster', 'myid'), await there('cluster', 'myid')] as [
    string,
    string,
  ];
  await there('cluster', 'setslot', slot, 'importing', source);
  await here('cluster', 'setslot', slot, 'migrating', target);
  let moved = 0;
  await eventually('all keys to have moved', async () => {
    const names = (await here('cluster', 'getkeysinslot', slot, 20)) as string[];
    if (names.length > 0) await here('migrate', '127.0.0.1', to.port, '', 0, 5_000, 'keys', ...names);
    moved += names.length;
    return names.length === 0;
  });
  await there('cluster', 'setslot', slot, 'node', target);
  for (const control of controls.values()) await control('cluster', 'setslot', slot, 'node', target);
  t.comment(`slot ${slot} has moved, ${moved} keys`);
}

/** The node that has the slot of all keys. */
async function ownerOf({ nodes }: RedisCluster): Promise<RedisServer> {
  for (const node of nodes) if (!(await node.cli('exists', keys.leases)).startsWith('MOVED')) return node;
  throw new Error('nobody has the slot');
}

t.test('Redis Cluster: the slot of all keys moves while sessions run', redis, async t => {
  const cluster = await startRedisCluster(t);
  const way = { cluster: cluster.nodes.map(({ port }) => `127.0.0.1:${port}`) };
  const owner = await ownerOf(cluster);
  const other = cluster.nodes.find(node => node !== owner) as RedisServer;
  const arena = await startArena(t, owner, { way });
  // Between them, both nodes refuse in turn (ASK, TRYAGAIN, MOVED), and answer again.
  const blows = 3;
  await ordeal(t, arena, {
    what: 'the slot moves',
    blows,
    begin: () => moveSlot(t, cluster, owner, other),
  });
  await ordeal(t, arena, {
    what: 'and back',
    blows,
    begin: () => moveSlot(t, cluster, other, owner),
  });
});
