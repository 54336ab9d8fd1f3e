/** An instance that is killed, and one that is replaced, as the rest of the cluster sees it. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { call, post, status } from '../support/admin-api.ts';
import { startCommand } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const TOKEN = 'a-token';

t.test(
  'killed with -9, started again, upgraded: nothing is counted twice',
  needs('redis-server'),
  async t => {
    const { port } = await startRedis(t);
    const { address } = await startScriptedBackend(t, smtp());
    const settings = (instance: string) => ({
      instance,
      cluster: { redis: `redis://127.0.0.1:${port}` },
      ...mx([formatAddress(address)]),
    });
    const watcher = await startInstance(t, 'net', settings('watcher'));
    const elsewhere = async () => (await status(watcher.admin)).pools[0]?.backends[0]?.activeElsewhere;
    const edge = () => startCommand(t, { ...settings('edge'), admin: { token: TOKEN } });
    const session = async (of: Parameters<typeof connectClient>[1]) => {
      const client = await connectClient(t, of);
      await client.expect(220);
      return client;
    };

    const first = await edge();
    for (let count = 0; count < 3; count++) await session(first.address);
    await eventually('three sessions', async () => (await elsewhere()) === 3);
    first.process.kill('SIGKILL');
    const killedAt = performance.now();
    const second = await edge();
    const held = await session(second.address);
    await eventually('its session alone', async () => (await elsewhere()) === 1);
    t.comment(
      `counts were true ${(performance.now() - killedAt) | 0} ms after the kill, the restart included`,
    );
    const instances = async () => {
      const { json } = await call(watcher.admin, '/api/v1/cluster');
      return (json as { instances: { instance: string }[] }).instances.map(({ instance }) => instance);
    };
    await eventually('one of its name', async () => `${await instances()}` === 'edge,watcher');

    // The old process finishes its session, which goes on counting: it is not forgotten.
    const upgraded = await post(second.admin, 'upgrade', undefined, { token: TOKEN });
    t.equal(upgraded.status, 200, upgraded.message);
    await second.process.printed(/stopping: no new sessions/);
    await eventually('its session still', async () => (await elsewhere()) === 1);
    const log = second.process.stdout;
    t.notMatch(
      log.slice(log.indexOf('the successor is ready')),
      /has been forgotten|running instances are called|could not say/,
    );
    t.same((await status(watcher.admin)).cluster?.warnings, []);
    await held.command('QUIT', 221);
    held.end();
    const [, pid] = /^process (\d+) has taken over/.exec(upgraded.message) ?? [];
    process.kill(Number(pid), 'SIGTERM');
    await eventually('nothing is left', async () => (await elsewhere()) === 0);
    await eventually('alone', async () => `${await instances()}` === 'watcher');
  },
);
