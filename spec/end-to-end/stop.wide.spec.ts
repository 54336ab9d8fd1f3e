/** PROOF fault 14: signals to the real command. */
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { type Command, startCommand } from '../support/command.ts';
import { eventually, within } from '../support/eventually.ts';
import { ABOVE_TRANSPORTS, mx, WITH_NET } from '../support/instance.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { startSmtpSink, startSmtpSource } from '../support/postfix-tools.ts';
import { accepts } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient, type SmtpClient } from '../support/smtp-client.ts';

/** A client in the middle of DATA. */
async function inData(owner: Owner, { address }: Command): Promise<SmtpClient> {
  const client = await connectClient(owner, address);
  await client.expect(220);
  await client.command('EHLO slow.example', 250);
  await client.command('MAIL FROM:<from@example.org>', 250);
  await client.command('RCPT TO:<to@example.com>', 250);
  await client.command('DATA', 354);
  await client.send('Subject: half');
  return client;
}

async function finish(client: SmtpClient): Promise<void> {
  await client.write('\r\nwhole.\r\n.\r\n');
  await client.expect(250);
  await client.command('QUIT', 221);
  client.end();
}

async function statusOf({ admin }: Command, path: string): Promise<number> {
  return (await fetch(`http://${formatAddress(admin)}${path}`)).status;
}

/** Resolves when the instance has said that it stops; from then on nobody may get in. */
async function closed({ address, process }: Command): Promise<void> {
  await process.printed(/"msg":"stopping: no new sessions"/);
  if (await accepts(address)) throw new Error('it accepts while it stops');
}

for (const transport of WITH_NET) {
  t.test(`${transport}: TERM under load cuts nobody`, needs('smtp-source', 'smtp-sink'), async t => {
    const sinks = [await startSmtpSink(t, { flags: ['-c'] }), await startSmtpSink(t, { flags: ['-c'] })];
    const settings = {
      ...mx(sinks.map(({ address }) => formatAddress(address))),
      transport,
      drainTimeout: '1m',
    };
    const command = await startCommand(t, settings);
    // However quick the others are, somebody is there when TERM comes, and until we have looked.
    const slow = await inData(t, command);
    // One connection each for many messages: these are in progress when TERM comes, and must come to their end.
    // smtp-source says nothing of a session that ended well, and names the one that did not.
    const kept = Array.from({ length: 8 }, () =>
      startSmtpSource(t, {
        address: command.address,
        sessions: 1,
        messages: 300,
        length: 10_000,
        keepConnections: true,
      }),
    );
    await eventually(
      '8 sessions more',
      async () => (await command.metrics()).sum('smtplb_sessions_accepted_total') > 8,
    );
    // A connection for each message: the first one that finds the door shut ends it.
    const short = startSmtpSource(t, {
      address: command.address,
      sessions: 4,
      messages: 1_000_000,
      length: 1_000,
    });
    await eventually(
      'short sessions',
      async () => (await command.metrics()).sum('smtplb_sessions_accepted_total') > 100,
    );

    const stoppedAt = performance.now();
    command.process.kill('SIGTERM');
    await closed(command);
    t.comment(`no accept ${(performance.now() - stoppedAt).toFixed(0)} ms after TERM`);
    t.equal(await statusOf(command, '/readyz'), 503);
    t.equal(await statusOf(command, '/healthz'), 200);
    const left = (await command.metrics()).sum('smtplb_sessions_active');
    t.comment(`${left} sessions were going on then`);
    await finish(slow);
    const exits = await Promise.all(kept.map(({ exited }) => exited));
    for (const { exitCode, stderr } of exits)
      t.equal(exitCode, 0, `a session in progress is served: ${stderr}`);
    const exit = await command.process.exited;
    t.comment(`exit ${((performance.now() - stoppedAt) / 1_000).toFixed(2)} s after TERM`);
    t.equal(exit.exitCode, 0, exit.stderr);
    // What ended the short ones was a refused connect, or a reset of one that was never accepted: nothing else.
    const { stderr } = await short.exited;
    t.match(stderr, /connect|refused|reset|lost connection/i, 'smtp-source found the door shut');

    const records = command.sessions();
    const ends = new Map<string, number>();
    for (const { cause, phase } of records)
      ends.set(`${cause}/${phase}`, (ends.get(`${cause}/${phase}`) ?? 0) + 1);
    t.comment(JSON.stringify(Object.fromEntries(ends)), stderr.trim());
    t.notOk(records.some(({ cause }) => cause === 'shutdown' || String(cause).startsWith('backend-')));
    const counted = sinks.map(({ process }) => Number(/(\d+)\s*$/.exec(process.stdout)?.[1] ?? 0));
    t.comment(`the sinks have ${counted.join(' + ')} messages`);
    t.ok(counted.reduce((sum, count) => sum + count, 0) >= 8 * 300 + 1);
  });

  t.test(`${transport}: a session in DATA has until drainTimeout, and no longer`, async t => {
    const backend = await startScriptedBackend(t, smtp());
    const settings = { ...mx([formatAddress(backend.address)]), transport, drainTimeout: '3s' };
    const command = await startCommand(t, settings);
    const [steady, stuck] = [await inData(t, command), await inData(t, command)];
    const idle = await connectClient(t, command.address);
    await idle.expect(220);

    const stoppedAt = performance.now();
    command.process.kill('SIGTERM');
    await closed(command);
    t.equal(await statusOf(command, '/readyz'), 503);
    await finish(steady);

    t.not(await stuck.closed, 'self');
    const cutAt = performance.now() - stoppedAt;
    // Where nothing is said of it, it is minutes.
    t.ok(cutAt >= 2_950 && cutAt < 20_000, `cut after ${cutAt.toFixed(0)} ms of 3000`);
    // Between commands a word of ours is in order; in DATA it would not be.
    await idle.expectClosed('fin');
    t.match(idle.received.toString(), /\r\n421 4\.3\.2 lb\.example Service is shutting down[^\r]*\r\n$/);
    idle.end();
    t.notMatch(stuck.received.toString(), /421/);
    const exit = await command.process.exited;
    t.comment(
      `cut after ${cutAt.toFixed(0)} ms, exit after ${(performance.now() - stoppedAt).toFixed(0)} ms`,
    );
    t.equal(exit.exitCode, 0, exit.stderr);
    t.same(
      command
        .sessions()
        .map(({ cause, phase }) => `${cause}/${phase}`)
        .sort(),
      ['normal/relaying', 'shutdown/handshaking', 'shutdown/relaying'],
    );
    t.match(exit.stdout, /"msg":"stopped"/);
  });
}

// Signals are heard above the transports.
for (const transport of ABOVE_TRANSPORTS) {
  for (const second of ['SIGTERM', 'SIGINT'] as const) {
    t.test(`${transport}: a second signal, ${second}, ends all at once`, async t => {
      const backend = await startScriptedBackend(t, smtp());
      const command = await startCommand(t, {
        ...mx([formatAddress(backend.address)]),
        transport,
        drainTimeout: '1h',
      });
      const stuck = await inData(t, command);
      command.process.kill('SIGTERM');
      await closed(command);
      t.equal(stuck.closing, 'open');
      const againAt = performance.now();
      command.process.kill(second);
      const exit = await within('its end', command.process.exited);
      const took = performance.now() - againAt;
      t.comment(`exit ${took.toFixed(0)} ms after the second signal`);
      t.equal(exit.exitCode, 0, exit.stderr);
      t.not(await stuck.closed, 'self');
      t.match(command.sessions(), [{ cause: 'shutdown', phase: 'relaying' }]);
    });
  }

  t.test(`${transport}: TERM without a session is the end`, async t => {
    const command = await startCommand(t, { ...mx(['127.0.0.1:9']), transport, drainTimeout: '1h' });
    t.equal(await statusOf(command, '/readyz'), 200);
    const stoppedAt = performance.now();
    command.process.kill('SIGINT');
    t.equal((await within('its end', command.process.exited)).exitCode, 0);
    t.comment(`exit ${(performance.now() - stoppedAt).toFixed(0)} ms after INT`);
  });
}
