/** The operator's verbs as commands, against a real process. */
import t from 'tap';
import type { StatusDocument } from '../../lib/admin/status.ts';
import { formatAddress } from '../../lib/core/address.ts';
import { called } from '../support/called.ts';
import { COMMAND, startCommand } from '../support/command.ts';
import { refusingAddress } from '../support/free-port.ts';
import { mx } from '../support/instance.ts';
import { type Exit, run } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

const TOKEN = 'a-token';

t.test('the command line against a running instance', async t => {
  const backends = [
    await startScriptedBackend(t, smtp({ hostName: 'one.example' })),
    await startScriptedBackend(t, smtp({ hostName: 'two.example' })),
  ];
  const command = await startCommand(t, {
    ...mx(backends.map(({ address }) => formatAddress(address))),
    admin: { token: TOKEN },
  });
  const [program, ...before] = COMMAND;
  const at = formatAddress(command.admin);
  const smtplb = (...args: readonly string[]): Promise<Exit> =>
    run(t, program, [...before, ...args], { env: { SMTPLB_ADMIN: at, SMTPLB_ADMIN_TOKEN: TOKEN } });
  /** As `smtplb`, without a process of its own. */
  const said = (...args: readonly string[]) =>
    called(...args, ...(args.includes('--admin') ? [] : ['--admin', at]));

  process.env['SMTPLB_ADMIN_TOKEN'] = TOKEN;
  t.teardown(() => {
    delete process.env['SMTPLB_ADMIN_TOKEN'];
  });

  const client = await connectClient(t, command.address);
  await client.expect(220);
  const first = client.received.includes('one.example') ? 'b1' : 'b2';
  const text = await smtplb('status');
  t.equal(text.exitCode, 0, text.stderr);
  t.match(text.stdout, /^test {2}smtplb \S+ {2}running {2}generation 1 {2}since \d{4}-/);
  t.match(text.stdout, new RegExp(`^mx +${formatAddress(command.address)} +mx +1 +- +1$`, 'm'));
  t.match(text.stdout, new RegExp(`^mx/${first} +\\S+ +up +1 +- +1 +1 +0 +-$`, 'm'));
  const json = await said('status', '--json');
  const document = JSON.parse(json.stdout) as StatusDocument;
  t.match(document, { instance: 'test', state: 'running', pools: [{ name: 'mx' }] });

  const drained = await smtplb('drain', `mx/${first}`);
  t.same([drained.exitCode, drained.stdout], [0, `mx/${first} is in drain; 1 session is running there\n`]);
  t.match((await said('status')).stdout, new RegExp(`^mx/${first} +\\S+ +up drain `, 'm'));

  const sessions = await said('sessions');
  t.match(sessions.stdout, new RegExp(`^\\S+ +127\\.0\\.0\\.1:\\d+ +mx +mx/${first} +handshaking +`, 'm'));
  const other = first === 'b1' ? 'b2' : 'b1';
  const none = await said('sessions', '--backend', other, '--pool', 'mx', '--json');
  t.same(JSON.parse(none.stdout), []);
  const one = await said('sessions', '--backend', first, '--limit', '5', '--json');
  t.match(JSON.parse(one.stdout), [{ backend: first, pool: 'mx', listener: 'mx' }]);
  const ended = await said('maint', `mx/${first}`, '--end-sessions');
  t.match(ended.stdout, new RegExp(`^mx/${first} is in maint, 1 session was ended; `));
  await client.expect(/^421 4\.3\.2 /);
  client.end();

  const weight = await said('weight', `mx/${other}`, '5');
  t.same([weight.exitCode, weight.stdout], [0, `mx/${other} has weight 5\n`]);
  for (const wrong of ['1O', 'Infinity'])
    t.equal((await said('weight', `mx/${other}`, wrong)).exitCode, 2, `weight ${wrong}`);
  const zero = await said('weight', `mx/${other}`, '0');
  t.same([zero.exitCode, zero.stdout], [1, '']);
  t.match(zero.stderr, /^smtplb: weight is a whole number from 1 to 256/);
  t.equal((await said('reload')).stdout, 'generation 2 is in use\n');

  const unknown = await smtplb('drain', 'mx/b9');
  t.same([unknown.exitCode, unknown.stdout], [1, '']);
  t.equal(unknown.stderr, 'smtplb: there is no backend mx/b9; pool mx has b1, b2\n');
  const nobody = formatAddress(await refusingAddress());
  for (const args of [['status'], ['drain', 'mx/b1']]) {
    const alone = await said(...args, '--admin', nobody);
    t.same([alone.exitCode, alone.stdout], [1, ''], args.join(' '));
    t.equal(
      alone.stderr,
      `smtplb: no instance answers on ${nobody} (ECONNREFUSED); is it running? see --admin\n`,
    );
  }
  delete process.env['SMTPLB_ADMIN_TOKEN'];
  const stranger = await said('drain', 'mx/b1');
  t.equal(stranger.exitCode, 1);
  t.match(stranger.stderr, /^smtplb: the token is missing or wrong/);
});
