/**
 * identity transparent, on three hosts in network namespaces: a backend whose default route is the balancer, and a Postfix
 * beside it, see the clients' own addresses, over IPv4 and IPv6, also where their TLS ends at the balancer; without the
 * host's rules it cannot answer, and the log says why.
 */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { createAuthority } from '../support/certificates.ts';
import { COMMAND, START_MS } from '../support/command.ts';
import { eventually, eventuallyEqual } from '../support/eventually.ts';
import { lastResort } from '../support/last-resort.ts';
import { needsRoot } from '../support/needs.ts';
import { startPostfix } from '../support/postfix.ts';
import { type Running, run, start } from '../support/processes.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const HOSTS = ['client', 'edge', 'backend'] as const;
type Host = (typeof HOSTS)[number];
const nameOf = (host: Host) => `smtplb-${process.pid}-${host}`;

/** A backend that says who it sees, and a client that takes leave. */
const BACKEND = `
const net = require('node:net');
for (const host of ['0.0.0.0', '::']) net.createServer(socket => {
  console.log('client ' + socket.remoteAddress);
  socket.on('error', () => {});
  socket.write('220 backend.example ESMTP\\r\\n');
  socket.on('data', line => /^quit/i.test(line) ? socket.end('221 bye\\r\\n') : socket.write('250 ok\\r\\n'));
}).listen({ port: 25, host, ipv6Only: true }, () => console.log('listening'));`;
/** Sends a message to port 26; prints the replies. */
const SENDER = `
const socket = require('node:net').connect(26, process.argv[1]);
const lines = ['EHLO c.example', 'MAIL FROM:<a@b.example>', 'RCPT TO:<c@d.example>', 'DATA', '.', 'QUIT'];
socket.on('data', reply => {
  console.log(String(reply));
  if (/^\\d{3} /m.test(reply) && lines.length > 0) socket.write(lines.shift() + '\\r\\n');
});
socket.on('error', error => console.log(error.code));`;
const CLIENT = `
const socket = require('node:net').connect(25, process.argv[1]);
socket.on('data', line => { console.log(String(line)); if (/^220/.test(line)) socket.write('QUIT\\r\\n'); });
socket.on('error', error => console.log(error.code));`;
const TLS_CLIENT = CLIENT.replace(
  "require('node:net').connect(25, process.argv[1])",
  "require('node:tls').connect({ host: process.argv[1], port: 465, rejectUnauthorized: false })",
);

function ip(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}

function makeHosts(): void {
  for (const host of HOSTS) {
    ip('netns', 'add', nameOf(host));
    ip('-n', nameOf(host), 'link', 'set', 'lo', 'up');
  }
  for (const [host, net] of [
    ['client', 1],
    ['backend', 2],
  ] as const) {
    const [own, edge] = [nameOf(host), nameOf('edge')];
    const there = `to-${host}`;
    ip('-n', own, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', there, 'netns', edge);
    for (const [space, device, end] of [
      [own, 'eth0', 2],
      [edge, there, 1],
    ] as const) {
      ip('-n', space, 'addr', 'add', `10.${net}.0.${end}/24`, 'dev', device);
      ip('-n', space, '-6', 'addr', 'add', `fd00:${net}::${end}/64`, 'dev', device, 'nodad');
      ip('-n', space, 'link', 'set', device, 'up');
    }
    ip('-n', own, 'route', 'add', 'default', 'via', `10.${net}.0.1`);
    ip('-n', own, '-6', 'route', 'add', 'default', 'via', `fd00:${net}::1`);
  }
}

t.test('the backend sees the client itself', needsRoot('ip', 'nft', 'openssl', 'postfix'), async t => {
  const clear = () => {
    for (const host of HOSTS) spawnSync('ip', ['netns', 'del', nameOf(host)]);
  };
  const callOff = lastResort(clear);
  t.teardown(() => {
    callOff();
    clear();
  });
  makeHosts();
  const on = (host: Host, ...command: readonly string[]): Running =>
    start(t, 'ip', ['netns', 'exec', nameOf(host), ...command]);
  const [program, ...before] = COMMAND;

  const backend = on('backend', process.execPath, '--eval', BACKEND);
  await backend.printed(/listening\nlistening/);
  const postfix = await startPostfix(t, {
    within: ['ip', 'netns', 'exec', nameOf('backend')],
    main: ['inet_interfaces = all', 'inet_protocols = all', 'mynetworks = 0.0.0.0/0 [::]/0'],
    master: ['10.2.0.2:26 inet n - n - - smtpd', '[fd00:2::2]:26 inet n - n - - smtpd'],
  });
  const folder = await temporaryDirectory(t);
  const authority = await createAuthority(t);
  const { certFile: cert, keyFile: key } = await authority.issue({ names: ['mx.example.net'] });
  const tls = JSON.stringify({ mode: 'implicit', certificates: [{ cert, key }] });
  let messages = 0;

  for (const transport of ['io_uring', 'epoll']) {
    const file = join(folder, `${transport}.yaml`);
    await writeFile(
      file,
      `transport: ${transport}
admin: { listen: off }
listeners:
  - { name: v4, listen: "10.1.0.1:25", pool: v4 }
  - { name: v6, listen: "[fd00:1::1]:25", pool: v6 }
  - { name: tls4, listen: "10.1.0.1:465", pool: v4, tls: ${tls} }
  - { name: tls6, listen: "[fd00:1::1]:465", pool: v6, tls: ${tls} }
  - { name: postfix4, listen: "10.1.0.1:26", pool: postfix4 }
  - { name: postfix6, listen: "[fd00:1::1]:26", pool: postfix6 }
pools:
  - { name: v4, identity: transparent, connect: { timeout: 2s }, backends: [{ address: "10.2.0.2:25" }] }
  - { name: v6, identity: transparent, connect: { timeout: 2s }, backends: [{ address: "[fd00:2::2]:25" }] }
  - { name: postfix4, identity: transparent, backends: [{ address: "10.2.0.2:26" }] }
  - { name: postfix6, identity: transparent, backends: [{ address: "[fd00:2::2]:26" }] }
`,
    );
    const edge = on('edge', program, ...before, 'run', '--config', file);
    await edge.printed(/"msg":"ready"/, START_MS);
    const setup = (...flags: readonly string[]) =>
      run(t, 'ip', ['netns', 'exec', nameOf('edge'), program, ...before, 'transparent-setup', ...flags]);
    const visit = (address: string, script = CLIENT) =>
      run(t, 'ip', ['netns', 'exec', nameOf('client'), process.execPath, '--eval', script, address]);

    t.match(
      (await visit('10.1.0.1')).stdout,
      /^421 /,
      `${transport}: without the rules no answer comes back`,
    );
    await edge.printed(/"fault":"connect-timeout"/);
    t.equal((await setup('--apply')).exitCode, 0);
    for (const [address, seen] of [
      ['10.1.0.1', '10.1.0.2'],
      ['fd00:1::1', 'fd00:1::2'],
    ] as const) {
      t.match(
        (await visit(address)).stdout,
        /^220 backend\.example[\s\S]*221 bye/,
        `${transport}: ${address}`,
      );
      await backend.printed(new RegExp(`client ${seen}\n`));
      const before = backend.stdout.length;
      t.match((await visit(address, TLS_CLIENT)).stdout, /^220 backend\.example[\s\S]*221 bye/, 'over TLS');
      await eventually('the client by its address', async () =>
        backend.stdout.slice(before).includes(`client ${seen}\n`),
      );
      t.match((await visit(address, SENDER)).stdout, /^220 mx\.example[\s\S]*\n221 /, 'by way of Postfix');
      await eventuallyEqual('a message delivered', () => postfix.delivered(), ++messages);
    }
    const named = Array.from(
      (await postfix.log()).matchAll(/: client=\S*\[(\S+)\]/g),
      ([, client]) => client,
    );
    t.same(named.slice(-2), ['10.1.0.2', 'fd00:1::2'], "the clients in Postfix's log");
    t.notMatch(await postfix.log(), /connect from \S*\[(10\.2\.0\.1|fd00:2::1)\]/);
    t.notMatch(backend.stdout, /client (10\.2\.0\.1|fd00:2::1)/, 'never the balancer');
    t.equal((await setup('--remove', '--apply')).exitCode, 0);
    await edge.stop();
  }
});
