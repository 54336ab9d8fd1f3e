/** An upgrade in a cluster: the old and the new process both count, as long as both have sessions. */
import { join } from 'node:path';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { startCommand } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { freeAddress } from '../support/free-port.ts';
import { scrape } from '../support/metrics.ts';
import { needs } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { ended, gone, upgraded } from './upgrading.ts';

t.test(
  'sessions of the old process count at the new one until they are over',
  needs('redis-server'),
  async t => {
    const { port } = await startRedis(t);
    const backend = await startScriptedBackend(t, smtp());
    const [mx, admin] = [await freeAddress(), await freeAddress()];
    const door = { family: 'unix', path: join(await temporaryDirectory(t), 'admin.sock') } as const;
    const command = await startCommand(t, {
      admin: { listen: formatAddress(admin), socket: door.path },
      cluster: { redis: `redis://127.0.0.1:${port}` },
      listeners: [{ name: 'mx', pool: 'mx', listen: formatAddress(mx) }],
      pools: [{ name: 'mx', backends: [{ name: 'b1', address: formatAddress(backend.address) }] }],
    });
    ended(t, command);
    const client = await connectClient(t, mx);
    await client.expect(220);
    const old = command.process.pid;
    await upgraded(command, door);
    const counted = async (name: string, expected: number) =>
      eventually(`${name} ${expected}`, async () => {
        const found = (await scrape(admin)).value(name);
        if (found !== expected) throw new Error(`${found}`);
        return true;
      });
    await counted('smtplb_cluster_instances', 2);
    await counted('smtplb_cluster_backend_sessions_active', 1);
    await counted('smtplb_backend_sessions_active', 0); // it is not the new one's own
    const other = await connectClient(t, mx);
    await other.expect(220);
    await counted('smtplb_cluster_backend_sessions_active', 2);
    await client.command('QUIT', 221);
    client.end();
    await gone(old);
    await counted('smtplb_cluster_backend_sessions_active', 1);
    await counted('smtplb_cluster_instances', 1);
    await other.command('QUIT', 221);
    other.end();
  },
);
