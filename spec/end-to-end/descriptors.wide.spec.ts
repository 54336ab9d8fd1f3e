/** PROOF fault 9: the real command under a limit of open files, with more clients than fit. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { type Command, startCommand } from '../support/command.ts';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import { mx, TRANSPORTS } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { type ScriptedBackend, smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient, type SmtpClient } from '../support/smtp-client.ts';

const REFUSAL = '421 4.3.2 lb.example Service not available, try again later\r\n';

interface Crowd {
  readonly served: readonly SmtpClient[];
  readonly refused: readonly SmtpClient[];
  /** Closed without a word, or with the wrong one. */
  readonly bare: readonly SmtpClient[];
  readonly unheard: number;
}

const said = (client: SmtpClient) => client.received.toString();

/**
 * So many clients at once; resolves when each has heard something or was closed. Those who speak early have spoken before
 * the first is accepted, as on a busy machine.
 */
async function crowd(
  owner: Owner,
  { address, process }: Command,
  size: number,
  early: string,
): Promise<Crowd> {
  if (early !== '') process.kill('SIGSTOP');
  const clients = await Promise.all(
    Array.from({ length: size }, async () => {
      const client = await connectClient(owner, address);
      if (early !== '') await client.write(early);
      return client;
    }),
  );
  process.kill('SIGCONT');
  const settled = (client: SmtpClient) => client.closing !== 'open' || /^220.*\r\n/.test(client.pending());
  await eventually('every client to hear something', () => clients.every(settled), 15_000).catch(() => {});
  const served = clients.filter(client => said(client).startsWith('220'));
  const refused = clients.filter(client => said(client) === REFUSAL && client.closing === 'fin');
  const bare = clients.filter(
    client => client.closing !== 'open' && !served.includes(client) && !refused.includes(client),
  );
  return { served, refused, bare, unheard: size - served.length - refused.length - bare.length };
}

for (const transport of TRANSPORTS) {
  t.test(
    `${transport}: out of descriptors every client is greeted or hears 421`,
    needs('prlimit'),
    async t => {
      const backend: ScriptedBackend = await startScriptedBackend(t, smtp());
      const settings = { ...mx([formatAddress(backend.address)]), transport };
      const command = await startCommand(t, settings, { under: ['prlimit', '--nofile=400:400'] });
      const before = command.usage();
      for (const early of ['', 'EHLO early.example\r\n']) {
        const { served, refused, bare, unheard } = await crowd(t, command, 600, early);
        t.comment(
          `600 clients${early === '' ? '' : ' that speak early'}: ${served.length} served, ${refused.length} heard 421, ${bare.length} closed bare, ${unheard} heard nothing; ${command.usage().descriptors} of 400 descriptors open`,
        );
        t.ok(served.length > 20, 'some are served');
        t.ok(refused.length > 20, 'some are refused');
        t.equal(bare.length, 0, bare.map(client => `${client.closing} ${said(client)}`).join('; '));
        t.equal(unheard, 0);
        // They are not only greeted, either.
        for (const client of served) {
          await client.expect(220);
          if (early === '') await client.send('EHLO client.example');
          await client.expect(250);
        }
        await Promise.all(served.map(client => client.deliver()));
        for (const client of served) await client.command('QUIT', 221);
        for (const client of [...served, ...refused, ...bare]) client.end();
        await command.idle();
      }
      const counted = (await command.metrics()).sum('smtplb_sessions_total', { cause: 'descriptors' });
      const logged = () => command.sessions().filter(({ cause }) => cause === 'descriptors').length;
      await eventuallyEqual('a log line each', logged, counted);

      // There is room again, and nothing was left open.
      const again = await connectClient(t, command.address);
      await again.expect(220);
      await again.command('QUIT', 221);
      again.end();
      await command.idle();
      await eventually('descriptors as before', () => command.usage().descriptors <= before.descriptors + 1);
      t.comment(`descriptors before ${before.descriptors}, after ${command.usage().descriptors}`);
      t.equal((await command.process.stop()).exitCode, 0);
    },
  );

  t.test(`${transport}: a limit too low to serve anybody is said at start`, needs('prlimit'), async t => {
    const settings = { ...mx(['127.0.0.1:9']), transport };
    await t.rejects(startCommand(t, settings, { under: ['prlimit', '--nofile=180:180'] }), {
      message: /the limit of open files is too low to serve a session; raise it \(ulimit -n\)/,
    });
  });
}
