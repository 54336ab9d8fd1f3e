/**
 * A program that starts itself anew, for the tests of upgrade.ts: prints what came of it as JSON. The second argument
 * says how the successor behaves, the third how many sockets and the fourth how many of the operator's words it gets.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { HANDED_DOWN, readInheritance } from '../lib/inherit.ts';
import { descriptorOf } from '../lib/transport/net/listen.ts';
import { startSuccessor, tellPredecessor } from '../lib/upgrade.ts';

const [behaviour, sockets, words] = process.argv.slice(2);

if (process.env[HANDED_DOWN] === undefined) {
  const servers = [];
  for (let count = 0; count < Number(sockets); count++) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
  }
  const outcome = await startSuccessor({
    sockets: servers.map((server, at) => ({
      listener: 'mx',
      address: `127.0.0.1:${at}`,
      descriptor: descriptorOf(server),
      foreign: false,
    })),
    operator: Array.from({ length: Number(words) }, (_, at) => ({
      pool: 'a-pool-with-a-name-of-some-length',
      backend: `backend-${at}`,
      admin: { instance: { value: 'drain', version: 0 }, cluster: null },
      weight: { instance: null, cluster: null },
    })),
    // Who hangs is given up soon; the others have as long as a busy machine takes to start them.
    timeoutMs: behaviour === 'hang' ? 3_000 : 60_000,
  });
  process.stdout.write(`outcome ${JSON.stringify(outcome)}\n`);
  for (const server of servers) server.close();
} else {
  process.stdout.write(`successor ${process.pid}\n`);
  const { takeInherited } = readInheritance(process.env);
  const wanted = Array.from({ length: Number(sockets) }, (_, at) => ({
    listener: 'mx',
    address: `127.0.0.1:${at}`,
  }));
  const ports = [];
  for (const inherited of takeInherited(wanted)) {
    const server = createServer().listen({ fd: inherited?.descriptor });
    await once(server, 'listening');
    ports.push(server.address());
    server.unref();
  }
  process.stdout.write(`sockets ${new Set(ports.map(port => JSON.stringify(port))).size}\n`);
  if (behaviour === 'hang') setInterval(() => {}, 1_000);
  if (behaviour === 'exit') process.exit(3);
  if (behaviour === 'crash') process.kill(process.pid, 'SIGKILL');
  if (behaviour === 'ready') tellPredecessor();
}
