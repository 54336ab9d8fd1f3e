/** Warm connections of a whole process: one that is upgraded, and one that has few file descriptors. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { post } from '../support/admin-api.ts';
import { type Command, startCommand } from '../support/command.ts';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import { mx, TRANSPORTS } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import { type ScriptedBackend, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const TOKEN = 'a-token';

const warm = async ({ metrics }: Command) =>
  (await metrics()).value('smtplb_backend_warm_connections', { backend: 'b1' });

/** Connections that have not been let go. */
const open = ({ connections }: ScriptedBackend) =>
  connections.filter(({ closing, received }) => closing === 'open' && !received.includes('QUIT'));

for (const transport of TRANSPORTS) {
  t.test(
    `${transport}: an upgrade: the old ones are told QUIT, and clients are greeted at once by the new`,
    async t => {
      const backend = await startScriptedBackend(t, smtp());
      const pool = { warm: { size: 3, maxAge: '1h' } };
      const admin = { token: TOKEN };
      const settings = { ...mx([formatAddress(backend.address)], pool), transport, admin };
      const command = await startCommand(t, settings);
      await eventuallyEqual('warm connections', () => warm(command), 3);
      const before = await connectClient(t, command.address);
      await before.expect(220);
      // One that is not open yet at the upgrade would end without a word: there is none.
      await eventuallyEqual('another in its place', () => warm(command), 3);
      const { message, status } = await post(command.admin, 'upgrade', undefined, { token: TOKEN });
      t.equal(status, 200, message);
      const successor = Number(/process (\d+) has taken over/.exec(message)?.[1]);
      t.teardown(async () => {
        process.kill(successor, 'SIGKILL');
        await eventually('its end', () => isGone(successor));
      });
      const after = await connectClient(t, command.address);
      await after.expect(220);
      await before.command('NOOP', 250);
      for (const client of [before, after]) {
        await client.command('QUIT', 221);
        client.end();
      }
      await eventually('the old process to end', () => isGone(command.process.pid));
      await eventuallyEqual('warm connections', () => warm(command), 3);
      await eventuallyEqual('no others at the backend', () => open(backend).length, 3);
      t.equal(
        backend.connections.filter(({ closing, received }) => closing === 'rst' || String(received) === '')
          .length,
        3,
        'none but those that wait was left without a word',
      );
    },
  );

  t.test(
    `${transport}: where descriptors run short they give way, and no client is closed bare`,
    needs('prlimit'),
    async t => {
      const backend = await startScriptedBackend(t, smtp());
      const pool = { warm: { size: 100, maxAge: '1h' } };
      const settings = { ...mx([formatAddress(backend.address)], pool), transport };
      const command = await startCommand(t, settings, { under: ['prlimit', '--nofile=500:500'] });
      await eventually('many warm connections', async () => Number(await warm(command)) > 40);
      const clients = [];
      for (let turn = 0; turn < 10; turn++) {
        const more = await Promise.all(Array.from({ length: 40 }, () => connectClient(t, command.address)));
        await Promise.all(more.map(client => client.expect(/^(220|421) /)));
        clients.push(...more);
      }
      const served = clients.filter(({ received }) => received.includes('220 '));
      await eventuallyEqual('no warm connections', () => warm(command), 0);
      t.comment(
        `${served.length} of 400 clients served, with ${command.usage().descriptors} of 500 descriptors open`,
      );
      t.ok(served.length > 80 && served.length < 400);
      for (const client of served) {
        await client.command('QUIT', 221);
        client.end();
      }
      await command.idle();
      await eventually('they are warm again', async () => Number(await warm(command)) > 40);
    },
  );
}

function isGone(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}
