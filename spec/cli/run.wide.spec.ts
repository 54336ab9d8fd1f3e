import { createServer } from 'node:net';
import t from 'tap';
import { formatAddress } from '../../lib/core/address.ts';
import { called } from '../support/called.ts';
import { COMMAND, START_MS } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { freeAddress } from '../support/free-port.ts';
import { scrape } from '../support/metrics.ts';
import type { Owner } from '../support/owner.ts';
import { type Running, start } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

function smtplb(owner: Owner, ...args: readonly string[]): Running {
  const [program, ...before] = COMMAND;
  return start(owner, program, [...before, ...args]);
}

t.test('run with flags balances, answers at --admin, logs JSON lines and ends with TERM', async t => {
  const backends = [await startScriptedBackend(t, smtp()), await startScriptedBackend(t, smtp())];
  const [listen, second, admin] = [await freeAddress(), await freeAddress(), await freeAddress()];
  const running = smtplb(
    t,
    'run',
    ...['--listen', formatAddress(listen), '--listen', formatAddress(second)],
    ...backends.flatMap(({ address }) => ['--backend', formatAddress(address)]),
    ...['--admin', formatAddress(admin)],
  );
  await running.printed(/"msg":"ready"/, START_MS);
  t.equal(running.stderr, '', 'nothing to warn of on loopback');

  const clients = [];
  for (const address of [listen, second, listen, second]) {
    const client = await connectClient(t, address);
    await client.expect(220);
    clients.push(client);
  }
  t.same(
    backends.map(({ connections }) => connections.length),
    [2, 2],
    'least connections',
  );
  for (const path of ['healthz', 'readyz', 'metrics'])
    t.equal((await fetch(`http://${formatAddress(admin)}/${path}`)).status, 200, path);
  for (const client of clients) {
    await client.command('QUIT', 221);
    client.end();
  }
  await eventually('four sessions', async () => (await scrape(admin)).sum('smtplb_sessions_total') === 4);
  running.kill('SIGTERM');
  const exit = await running.exited;
  t.equal(exit.exitCode, 0, exit.stderr);
  const lines = exit.stdout
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line));
  t.equal(lines.filter(({ msg }) => msg === 'session').length, 4);
  t.match(lines.at(-1), { msg: 'stopped', level: 'info' });
});

t.test('an address that is taken is a sentence and status 1', async t => {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const bound = server.address();
  const taken = typeof bound === 'object' && bound !== null ? `127.0.0.1:${bound.port}` : '';
  const backend = ['--backend', '127.0.0.1:9'];
  const admin = formatAddress(await freeAddress());

  const listener = await called('run', '--listen', taken, ...backend, '--admin', admin);
  t.equal(listener.exitCode, 1);
  t.match(
    listener.stderr,
    new RegExp(`smtplb: listener \\S+ cannot listen on ${taken}: another process listens there`),
  );
  t.notMatch(listener.stderr, / at .*\.ts:\d+/, 'no stack trace');

  const door = await smtplb(t, 'run', '--listen', '127.0.0.1:0', ...backend, '--admin', taken).exited;
  t.equal(door.exitCode, 1);
  t.match(door.stderr, `smtplb: the admin listener cannot listen on ${taken}: `);
  t.notMatch(door.stderr, / at .*\.ts:\d+/, 'no stack trace');
});

t.test('a backend name without an address is a sentence and status 1', async t => {
  const admin = formatAddress(await freeAddress());
  const exit = await called(
    ...['run', '--listen', '127.0.0.1:0', '--backend', 'mx.invalid:25', '--admin', admin],
  );
  t.equal(exit.exitCode, 1);
  t.match(exit.stderr, /smtplb: backend \S+mx\.invalid:25: the name mx\.invalid has no address/);
});

t.test('a reader of the log that is gone does not end the mail', async t => {
  const backend = await startScriptedBackend(t, smtp());
  const [listen, admin] = [await freeAddress(), await freeAddress()];
  const [program, ...before] = COMMAND;
  const args = [
    ...before,
    'run',
    '--listen',
    formatAddress(listen),
    '--backend',
    formatAddress(backend.address),
  ];
  // `true` reads nothing and is gone; `$0` is the command.
  const running = start(t, 'bash', [
    '-c',
    'exec "$0" "$@" > >(true)',
    program,
    ...args,
    '--admin',
    formatAddress(admin),
  ]);
  await running.accepting(admin, START_MS); // not `listen`: that would be a session
  for (let count = 0; count < 5; count++) {
    const client = await connectClient(t, listen);
    await client.expect(220);
    await client.command('QUIT', 221);
    client.end();
    await eventually('its end', async () => (await scrape(admin)).sum('smtplb_sessions_active') === 0);
  }
});
