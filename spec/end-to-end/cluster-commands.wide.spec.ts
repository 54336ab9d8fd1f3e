/** What a session costs Redis where there is room: nothing. What instances say to it, they say by the clock. */
import t from 'tap';
import { EXCHANGE_MS, HEARTBEAT_MS } from '../../lib/cluster/limits.ts';
import { formatAddress } from '../../lib/core/address.ts';
import { settle } from '../cluster/leasing.ts';
import { eventually } from '../support/eventually.ts';
import { ABOVE_TRANSPORTS, mx, startInstance } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import { startRedis } from '../support/redis.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const SESSIONS = 200;
const AT_A_TIME = 4;

for (const transport of ABOVE_TRANSPORTS) {
  t.test(`${transport}: no command for a session`, needs('redis-server', 'redis-cli'), async t => {
    const server = await startRedis(t);
    await settle(server, 'mx/b1');
    const { address } = await startScriptedBackend(t, smtp());
    const maxConnections = { count: 200, scope: 'cluster' };
    const instance = await startInstance(t, transport, {
      cluster: { name: 'edge', redis: `redis://127.0.0.1:${server.port}` },
      ...mx(
        [{ address: formatAddress(address), maxConnections }],
        { sticky: { by: 'client-address' } },
        { limits: { perClient: { connections: 100, rate: '10000/1s', scope: 'cluster' } } },
      ),
    });
    const granted = async () => (await instance.metrics()).value('smtplb_backend_granted_slots') ?? 0;
    const serve = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at++) {
        const client = await connectClient(t, instance.address());
        await client.expect(220);
        await client.command('QUIT', 221);
        client.end();
      }
    };
    // The client is remembered, and there are slots.
    await eventually('some slots', async () => (await granted()) > 0);
    await serve(20);
    await eventually('enough of them', async () => (await granted()) > AT_A_TIME);
    const missed = async () => (await instance.metrics()).value('smtplb_backend_grant_exhausted_total');
    const missedBefore = await missed();

    await server.cli('config', 'resetstat');
    const from = performance.now();
    await Promise.all(Array.from({ length: AT_A_TIME }, () => serve(SESSIONS / AT_A_TIME)));
    const stats = await server.cli('info', 'commandstats');
    const tookMs = performance.now() - from;
    t.equal(await missed(), missedBefore, 'there was room all the time');
    const [, number, usec] = /cmdstat_evalsha:calls=(\d+),.*usec_per_call=([\d.]+)/.exec(stats) ?? [];
    const calls = Number(number);
    // An exchange comes a tenth earlier now and then; once a second there are signs of life, leases and claims.
    const byTheClock = tookMs / (0.9 * EXCHANGE_MS) + (4 * tookMs) / HEARTBEAT_MS;
    t.comment(
      `${SESSIONS} sessions in ${tookMs.toFixed()} ms: ${calls} commands, and by the clock ${byTheClock.toFixed()}; ${usec} µs each`,
    );
    t.ok(calls > 0 && calls <= byTheClock + 10, `${calls} commands`);
    t.notMatch(stats, /cmdstat_eval:/, 'scripts are not sent again');
  });
}
