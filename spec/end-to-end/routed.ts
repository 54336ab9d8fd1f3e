/** What tests of STARTTLS routed by server name share. */
import { once } from 'node:events';
import { createServer, connect as dial } from 'node:net';
import { type ConnectionOptions, connect as connectOverTls } from 'node:tls';
import { formatAddress, type IpAddress } from '../../lib/core/address.ts';
import { readClientHello } from '../../lib/tls/client-hello.ts';
import type { TestCertificate } from '../support/certificates.ts';
import { within } from '../support/eventually.ts';
import { type Instance, type Settings, startInstance, type TransportName } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { type BackendConnection, type Script, startScriptedBackend } from '../support/scripted-backend.ts';
import { connectClient } from '../support/smtp-client.ts';

export const HELLO = 'EHLO lb.example\r\n';

/** Offers STARTTLS, and from its 220 on says `answer` to the first bytes and keeps the rest. */
export const opens =
  (answer = 'the handshake'): Script =>
  async connection => {
    await connection.write('220 tenant.example ESMTP\r\n');
    await connection.until(/EHLO [^\n]*\r\n/);
    await connection.write('250-tenant.example\r\n250-SIZE 1000\r\n250 STARTTLS\r\n');
    await connection.until('STARTTLS\r\n');
    await connection.write('220 2.0.0 go on\r\n');
    await connection.until(/[\s\S]/);
    await connection.write(answer);
  };

/** What a backend heard behind our EHLO and STARTTLS. */
export const flightOf = (connection: BackendConnection): Buffer => {
  const heard = connection.received;
  const opening = Buffer.from(`${HELLO}STARTTLS\r\n`);
  if (!heard.subarray(0, opening.length).equals(opening)) throw new Error(heard.toString('latin1'));
  return heard.subarray(opening.length);
};

export interface Place {
  readonly address: IpAddress;
}

export interface Tenant {
  readonly names: readonly string[];
  readonly backends: readonly Place[];
}

/** A listener with a pool for all others, and one pool a tenant. */
export function settings(
  others: readonly Place[],
  tenants: readonly Tenant[],
  more: { readonly tls?: object; readonly pool?: object; readonly listener?: object } = {},
): Settings {
  const pool = (name: string, backends: typeof others) => ({
    name,
    backends: backends.map(({ address }, at) => ({
      name: `b${at + 1}`,
      address: formatAddress(address),
      ...(at > 0 && { backup: true }),
    })),
    ...more.pool,
  });
  return {
    listeners: [
      {
        name: 'mx',
        pool: 'others',
        tls: {
          routeBy: 'server-name',
          routes: tenants.map(({ names }, at) => ({ names, pool: `tenant${at + 1}` })),
          ...more.tls,
        },
        ...more.listener,
      },
    ],
    pools: [pool('others', others), ...tenants.map(({ backends }, at) => pool(`tenant${at + 1}`, backends))],
  };
}

/** What Node sends first for a name, all of it. */
export async function clientHello(
  owner: Owner,
  servername?: string,
  options: ConnectionOptions = {},
): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  owner.teardown(() => server.close());
  const accepted = once(server, 'connection');
  const { port } = server.address() as { port: number };
  const plain = dial({ port, host: '127.0.0.1' });
  plain.on('error', () => {});
  connectOverTls({
    socket: plain,
    rejectUnauthorized: false,
    ...options,
    ...(servername && { servername }),
  }).on('error', () => {});
  const [socket] = await within('a connection', accepted);
  socket.on('error', () => {});
  let bytes = Buffer.alloc(0);
  while (readClientHello(bytes).status === 'incomplete') {
    const [chunk] = await within('a ClientHello', once(socket, 'data'));
    bytes = Buffer.concat([bytes, chunk]);
  }
  socket.destroy();
  plain.destroy();
  return bytes;
}

export async function recordOf(instance: Instance, index = 0) {
  return (await instance.sessions(index + 1))[index];
}

/** Up to our 220 to STARTTLS. */
export async function promised(owner: Owner, instance: Instance) {
  const client = await connectClient(owner, instance.address());
  await client.expect(220);
  await client.command('EHLO client.example', 250);
  await client.command('STARTTLS', /^220 2\.0\.0 /);
  return client;
}

/** What came after our 220 must be an alert in plaintext, and no line of SMTP. */
export async function expectAlert(client: Awaited<ReturnType<typeof promised>>) {
  await client.expectClosed('fin');
  return client.pending() === '\x15\x03\x01\x00\x02\x02\x50';
}

export const tenant = async (owner: Owner, transport: TransportName, script: Script, more = {}) => {
  const backend = await startScriptedBackend(owner, script);
  const others = await startScriptedBackend(owner, opens('others'));
  const tenants = [{ names: ['a.example'], backends: [backend] }];
  const instance = await startInstance(owner, transport, settings([others], tenants, more));
  return { backend, others, instance };
};

export const trusting = (ca: TestCertificate, servername: string) => ({
  ca: ca.cert,
  servername,
  rejectUnauthorized: true,
});
