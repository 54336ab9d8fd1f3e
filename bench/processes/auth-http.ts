import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseHostPort } from '../../lib/core/address.ts';

/** auth-http.ts ADDRESS ...: what nginx's mail proxy asks where to send a session; each backend in turn. */

const backends = process.argv.slice(2).map(text => {
  const address = parseHostPort(text);
  if (address === undefined) throw new Error(`auth-http.ts: ${text} is no address`);
  return address;
});
let turn = 0;

const server = createServer((_, response) => {
  const backend = backends[turn++ % backends.length];
  response.writeHead(200, {
    'Auth-Status': 'OK',
    'Auth-Server': backend?.host ?? '',
    'Auth-Port': `${backend?.port ?? 0}`,
    'Content-Length': '0',
  });
  response.end();
});
server.keepAliveTimeout = 60_000;
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  process.stdout.write(`127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
