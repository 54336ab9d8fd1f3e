/**
 * Where connections to backends come from, in a network namespace that has ten local ports: addresses in turn, the next one
 * when the ports of one are used up, the next backend when those of all are, and 421 when there is none for any. Clients
 * come through Unix sockets, which need no port.
 */
import { spawnSync } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { FAST_TRANSPORTS, loadFast, type TransportName } from '../../lib/transport/fast.ts';
import { COMMAND, START_MS } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { lastResort } from '../support/last-resort.ts';
import { needsRoot } from '../support/needs.ts';
import type { Owner } from '../support/owner.ts';
import { type Running, start } from '../support/processes.ts';
import { connectClient, type SmtpClient } from '../support/smtp-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const PORTS = 10;
const SOURCES = ['127.0.0.11', '127.0.0.12'];
const BACKENDS = ['127.0.0.1:2501', '127.0.0.1:2502'];

/** Sessions that there are ports for: a port serves each backend at the same time, but for `net`, which takes it away from all. */
const ROOM: Readonly<Record<TransportName, number>> = {
  net: PORTS * SOURCES.length,
  epoll: PORTS * SOURCES.length * BACKENDS.length,
  io_uring: PORTS * SOURCES.length * BACKENDS.length,
};

/** A backend on two ports, on IPv6 and on a Unix socket, that says who comes. */
const BACKEND = `
const net = require('node:net');
const places = [[2501, '127.0.0.1'], [2502, '127.0.0.1'], [2503, '::1'], [process.argv[1]]];
let listening = 0;
for (const [port, host] of places) net.createServer(socket => {
  console.log('from ' + (socket.remoteAddress ?? 'unix') + ' at ' + port);
  socket.on('error', () => {});
  socket.write('220 backend.example ESMTP\\r\\n');
  socket.on('data', line => /^quit/i.test(line) ? socket.end('221 bye\\r\\n') : socket.write('250 ok\\r\\n'));
}).listen(...(host ? [{ port, host }] : [port]), () => { if (++listening === places.length) console.log('listening'); });`;

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}

/** A network of its own with ten local ports; what it gives starts a program there. */
function smallNetwork(owner: Owner, name: string): (...command: readonly string[]) => Running {
  const clear = () => void spawnSync('ip', ['netns', 'del', name]);
  const callOff = lastResort(clear);
  owner.teardown(() => {
    callOff();
    clear();
  });
  ip('netns', 'add', name);
  ip('-n', name, 'link', 'set', 'lo', 'up');
  ip('-n', name, 'addr', 'add', 'fd00::11/128', 'dev', 'lo', 'nodad');
  const range = `echo 40000 ${40_000 + PORTS - 1} > /proc/sys/net/ipv4/ip_local_port_range`;
  ip('netns', 'exec', name, 'sh', '-c', range);
  return (...command) => start(owner, 'ip', ['netns', 'exec', name, ...command]);
}

for (const transport of ['net', ...FAST_TRANSPORTS] as const) {
  const reason = transport === 'net' ? undefined : (await loadFast(transport)).reason;
  const skip = reason ?? needsRoot('ip').skip ?? false;
  t.test(`${transport}: source addresses, and ports that run out`, { skip }, async t => {
    const folder = await temporaryDirectory(t);
    await chmod(folder, 0o755);
    const inside = smallNetwork(t, `smtplb-${process.pid}-${transport}`);
    const backend = inside(process.execPath, '--eval', BACKEND, join(folder, 'backend'));
    await backend.printed(/listening/);
    // The heavier one runs out of ports long before the other, and is still chosen first.
    const weights = [3, 1];
    const pools = [
      {
        name: 'four',
        source: SOURCES,
        backends: BACKENDS.map((address, at) => ({ address, weight: weights[at] })),
      },
      { name: 'six', source: ['fd00::11'], backends: [{ address: '[::1]:2503' }] },
      { name: 'unix', source: SOURCES, backends: [{ address: `unix:${join(folder, 'backend')}` }] },
    ];
    const doors = pools.map(({ name }) => ({ name, pool: name, listen: `unix:${join(folder, name)}` }));
    const file = join(folder, 'smtplb.json');
    await writeFile(file, JSON.stringify({ transport, admin: { listen: 'off' }, listeners: doors, pools }));
    const [program, ...args] = COMMAND;
    const edge = inside(program, ...args, 'run', '--config', file);
    await edge.printed(/"msg":"ready"/, START_MS);
    const visit = (pool: string): Promise<SmtpClient> =>
      connectClient(t, { family: 'unix', path: join(folder, pool) });

    const sessions: SmtpClient[] = [];
    for (let at = 0; at < ROOM[transport]; at++) {
      const client = await visit('four');
      await client.expect(220);
      sessions.push(client);
    }
    const came = await eventually('word of all', () => {
      const lines = backend.stdout.split('\n').filter(line => line.startsWith('from '));
      return lines.length === sessions.length && lines;
    });
    const bySource = SOURCES.map(source =>
      [2_501, 2_502].map(port => came.filter(line => line === `from ${source} at ${port}`).length),
    );
    t.comment(`${sessions.length} sessions, by source and backend: ${JSON.stringify(bySource)}`);
    if (transport === 'net')
      for (const [one = 0, other = 0] of bySource) t.equal(one + other, PORTS, 'all ports of a source');
    else for (const counts of bySource) t.strictSame(counts, [PORTS, PORTS], 'all ports, at both backends');

    const late = await visit('four');
    t.match((await late.reply()).raw, /^421 4\.3\.2 /, 'the next one');
    const [record = ''] = await edge.printed(/^.*"cause":"local-ports".*$/m);
    t.match(JSON.parse(record), {
      termination: 'pC',
      retries: [{ fault: 'no-ports' }, { fault: 'no-ports' }],
    });

    for (const [pool, from] of [
      ['six', /^from fd00::11 at 2503$/m],
      ['unix', /^from unix at \//m],
    ] as const) {
      const client = await visit(pool);
      await client.expect(220);
      await client.command('QUIT', 221);
      t.ok(await backend.printed(from), `${pool} is none the worse`);
      client.destroy();
    }

    const last = sessions.pop();
    await last?.command('QUIT', 221);
    last?.destroy();
    await eventually('a port that is free again', async () => {
      const client = await visit('four');
      const { code } = await client.reply();
      client.destroy();
      return code === 220;
    });
    for (const client of [...sessions, late]) client.destroy();
    await edge.stop();
  });
}
