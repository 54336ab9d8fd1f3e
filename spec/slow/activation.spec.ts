/** Started by systemd, as far as that can be had without systemd: sockets handed down, and words back. */
import { existsSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { post } from '../support/admin-api.ts';
import { COMMAND, START_MS } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { freeAddress } from '../support/free-port.ts';
import { needs } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { accepts, type Running, start } from '../support/processes.ts';
import { smtp, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/**
 * As systemd does it: sockets that are bound and listen, handed down from descriptor 3 on, their number and the pid in
 * the environment. They stay open here, and nobody here accepts. Says how the command ended.
 */
const LAUNCHER = `
import json, os, signal, socket, sys
sockets = []
for address in json.loads(sys.argv[1]):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.bind(address if isinstance(address, str) else tuple(address))
    listening.listen()
    sockets.append(os.dup2(listening.fileno(), 100 + len(sockets)))
child = os.fork()
if child == 0:
    for at, fd in enumerate(sockets): os.dup2(fd, 3 + at)
    os.environ['LISTEN_PID'] = str(os.getpid())
    os.environ['LISTEN_FDS'] = str(len(sockets))
    os.execv(sys.argv[2], sys.argv[2:])
print('pid', child, flush=True)
print('exit', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
signal.pause()
`;

/** Runs the command as systemd would. */
async function activated(
  owner: Owner,
  file: string,
  sockets: readonly Address[],
  env: Readonly<Record<string, string>>,
): Promise<{ running: Running; pid: number }> {
  const where = sockets.map(address =>
    address.family === 'unix' ? address.path : [address.host, address.port],
  );
  const command = [...COMMAND, 'run', '--config', file];
  const running = start(owner, 'python3', ['-c', LAUNCHER, JSON.stringify(where), ...command], { env });
  const pid = Number((await running.printed(/pid (\d+)/))[1]);
  return { running, pid };
}

async function greeted(owner: Owner, address: Address, by: RegExp): Promise<void> {
  const client = await connectClient(owner, address);
  await client.expect(by);
  await client.command('QUIT', 221);
  client.end();
}

t.test(
  'sockets are taken by address, then by name; the rest are named in the log',
  needs('python3'),
  async t => {
    const one = await startScriptedBackend(t, smtp({ hostName: 'one.example' }));
    const two = await startScriptedBackend(t, smtp({ hostName: 'two.example' }));
    const directory = await temporaryDirectory(t);
    const path: Address = { family: 'unix', path: join(directory, 'smtp.sock') };
    const adminPath = join(directory, 'admin.sock');
    const [first, second, named, unclaimed] = [
      await freeAddress(),
      await freeAddress(),
      await freeAddress(),
      await freeAddress(),
    ];
    const file = join(directory, 'smtplb.yaml');
    const config = {
      admin: { listen: '127.0.0.1:0', socket: adminPath },
      listeners: [
        // The name of one is the address of the other: the address counts. Its second address is another process's, as
        // far as the kernel is concerned; the name gives it a socket.
        { name: 'mx', pool: 'one', listen: [formatAddress(second), '127.0.0.1:1'] },
        { name: 'submission', pool: 'two', listen: formatAddress(first) },
        { name: 'local', pool: 'two', listen: formatAddress(path) },
      ],
      pools: [
        { name: 'one', backends: [{ address: formatAddress(one.address) }] },
        { name: 'two', backends: [{ address: formatAddress(two.address) }] },
      ],
    };
    await writeFile(file, JSON.stringify(config));
    const { running } = await activated(t, file, [first, second, named, unclaimed, path], {
      LISTEN_FDNAMES: 'mx:submission:mx:smtplb.socket:whatever',
    });
    await running.printed(/"msg":"ready"/, START_MS);
    await greeted(t, first, /two\.example/);
    await greeted(t, second, /one\.example/);
    await greeted(t, named, /one\.example/);
    await greeted(t, path, /two\.example/);
    await running.printed(
      new RegExp(`"socket":"smtplb\\.socket on ${formatAddress(unclaimed)}".*no listener wants`),
    );
    t.equal(running.stdout.match(/no listener wants/g)?.length, 1);

    // The successor knows as well that the path is not its own.
    const admin: Address = { family: 'unix', path: adminPath };
    const { message, status } = await post(admin, 'upgrade');
    t.equal(status, 200, message);
    const successor = Number(/process (\d+) has taken over/.exec(message)?.[1]);
    await greeted(t, first, /two\.example/);
    await greeted(t, path, /two\.example/);
    process.kill(successor, 'SIGTERM');
    await eventually('the end', () => !existsSync(`/proc/${successor}`) || !existsSync(adminPath));
    t.ok(statSync(path.path).isSocket(), 'the path is for systemd to remove');
    t.equal(await accepts(path), true, 'which listens on');
    await running.printed(/^exit 0$/m);
  },
);

t.test('LISTEN_PID of another process is for another process', async t => {
  const backend = await startScriptedBackend(t, smtp());
  const taken = createServer();
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const file = join(await temporaryDirectory(t), 'smtplb.yaml');
  await writeFile(
    file,
    JSON.stringify({
      admin: { listen: 'off' },
      listeners: [{ name: 'mx', pool: 'mx', listen: `127.0.0.1:${port}` }],
      pools: [{ name: 'mx', backends: [{ address: formatAddress(backend.address) }] }],
    }),
  );
  const [program, ...args] = COMMAND;
  const running = start(t, program, [...args, 'run', '--config', file], {
    env: { LISTEN_PID: '1', LISTEN_FDS: '1' },
  });
  const { exitCode, stderr } = await running.exited;
  t.equal(exitCode, 1);
  t.match(stderr, /listener mx cannot listen on .*another process listens there/);
});

/**
 * What systemd would read, one message a line: JSON of its words. Node has no datagram sockets for paths. The first time
 * it hears READY=1 it speaks with the listener on the port given, at once, as a unit ordered after this one would.
 */
const RECEIVER = `
import json, os, socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
print('listening', flush=True)
greeting = ''
while True:
    text, fds, _, _ = socket.recv_fds(receiver, 65536, 4)
    for fd in fds: os.close(fd)
    if text == b'READY=1' and not greeting:
        with socket.create_connection(('127.0.0.1', int(sys.argv[2]))) as client:
            greeting = client.recv(512).decode()
            client.sendall(b'QUIT\\r\\n')
            client.recv(512)
        print('greeted:', greeting, flush=True)
    if text != b'BARRIER=1': print(json.dumps(text.decode().split('\\n')), flush=True)
`;

t.test('sd_notify', needs('systemd-notify', 'python3'), async t => {
  const backend = await startScriptedBackend(t, smtp());
  const directory = await temporaryDirectory(t);
  const notify = join(directory, 'notify');
  const listen = await freeAddress();
  const receiver = start(t, 'python3', ['-c', RECEIVER, notify, String(listen.port)]);
  await receiver.printed(/listening/);
  const words = () =>
    receiver.stdout
      .split('\n')
      .filter(line => line.startsWith('['))
      .map(line => JSON.parse(line) as string[]);
  const told = (word: string, count = 1) =>
    eventually(`${word}, ${count} times`, () => words().filter(([first]) => first === word).length >= count);

  const file = join(directory, 'smtplb.yaml');
  const admin: Address = { family: 'unix', path: join(directory, 'admin.sock') };
  const config = {
    admin: { listen: 'off', socket: admin.path },
    listeners: [{ name: 'mx', pool: 'mx', listen: formatAddress(listen) }],
    pools: [{ name: 'mx', backends: [{ address: formatAddress(backend.address) }] }],
  };
  await writeFile(file, JSON.stringify(config));
  const beganMs = performance.now();
  const { running, pid: first } = await activated(t, file, [], {
    NOTIFY_SOCKET: notify,
    WATCHDOG_USEC: '400000',
  });
  await told('READY=1');
  t.match(receiver.stdout, /^greeted: 220 /m, 'not before it listens');

  const pings = () => words().filter(([word]) => word === 'WATCHDOG=1').length;
  // Each is a program of its own: on a busy machine they are late now and then, but not always.
  const pace = await eventually('five words in a row within WatchdogSec', async () => {
    const [startedMs, before] = [performance.now(), pings()];
    await told('WATCHDOG=1', before + 5);
    const each = (performance.now() - startedMs) / 5;
    return each < 400 && each;
  });
  const mean = (performance.now() - beganMs) / pings();
  t.comment(
    `WATCHDOG=1 each ${pace.toFixed(0)} ms, WatchdogSec=400ms; since it was started ${mean.toFixed(0)} ms`,
  );
  t.ok(mean > 120, 'not much more often than asked for');

  const monotonic = () => Number(process.hrtime.bigint() / 1_000n);
  for (const broken of [false, true]) {
    await writeFile(file, broken ? 'nonsense' : JSON.stringify(config));
    const [from, at] = [monotonic(), words().length];
    t.equal((await post(admin, 'reload')).status, broken ? 409 : 200);
    const to = monotonic();
    const about = await eventually('both words', () => {
      const since = words()
        .slice(at)
        .filter(([word]) => word !== 'WATCHDOG=1');
      return since.length >= 2 && since;
    });
    t.match(about, [['RELOADING=1', /^MONOTONIC_USEC=\d+$/], ['READY=1']], 'in this order');
    const usec = Number(about[0]?.[1]?.split('=')[1]);
    t.ok(usec >= from && usec <= to, `the machine's clock: ${from} ${usec} ${to}`);
  }

  await writeFile(file, JSON.stringify(config));
  const at = words().length;
  const { message } = await post(admin, 'upgrade');
  const successor = Number(/process (\d+) has taken over/.exec(message)?.[1]);
  t.not(successor, first);
  await told(`MAINPID=${successor}`);
  const sinceUpgrade = () => words().slice(at).flat();
  const ready = () => sinceUpgrade().filter(word => word === 'READY=1').length;
  // One process says this and the other that.
  await eventually('READY=1 from the successor', () => ready() > 0);
  await running.printed(/^exit 0$/m);
  t.same(
    [...new Set(sinceUpgrade().filter(word => word.startsWith('MAINPID=')))],
    [`MAINPID=${successor}`],
    'nobody claims to be the main process but the one that is',
  );
  t.notOk(sinceUpgrade().includes('STOPPING=1'), 'the service does not stop, only a process of it');
  await told('WATCHDOG=1', pings() + 2);
  t.equal(ready(), 1);

  process.kill(successor, 'SIGTERM');
  await told('STOPPING=1');
  await eventually('the end', () => !existsSync(admin.path));
  t.notMatch(running.stdout, /systemd cannot be notified/);
});

t.test('without systemd-notify there is a word in the log, and service', async t => {
  const backend = await startScriptedBackend(t, smtp());
  const directory = await temporaryDirectory(t);
  const file = join(directory, 'smtplb.yaml');
  const config = {
    admin: { listen: 'off' },
    listeners: [{ name: 'mx', pool: 'mx', listen: '127.0.0.1:0' }],
    pools: [{ name: 'mx', backends: [{ address: formatAddress(backend.address) }] }],
  };
  await writeFile(file, JSON.stringify(config));
  const [program, ...args] = COMMAND;
  const running = start(t, program, [...args, 'run', '--config', file], {
    env: { NOTIFY_SOCKET: join(directory, 'nobody'), PATH: directory },
  });
  await running.printed(/systemd cannot be notified/);
  await running.printed(/"msg":"ready"/, START_MS);
  t.match((await running.stop()).stdout, /"msg":"ready".*"msg":"stopped"/s);
});
