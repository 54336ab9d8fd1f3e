/** SMTP clients that speak TLS, from the start or after STARTTLS. */
import { connect as connectPlain, type Socket } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { Address } from '../../lib/core/address.ts';
import { within } from './eventually.ts';
import type { Owner } from './owner.ts';
import { parseReply, type Reply, type SmtpClient, smtpOver } from './smtp-client.ts';

export interface TlsClient extends SmtpClient {
  readonly socket: TLSSocket;
}

export interface StarttlsClient extends TlsClient {
  readonly greeting: Reply;
  /** The reply to EHLO before TLS. */
  readonly plain: Reply;
}

/** Connects and does the TLS handshake; rejects with its error. */
export async function connectTls(
  owner: Owner,
  address: Address,
  options: ConnectionOptions = {},
): Promise<TlsClient> {
  if (address.family === 'unix') throw new Error('TLS tests use TCP');
  const plain = connectPlain({ host: address.host, port: address.port, allowHalfOpen: true });
  return secured(owner, plain, options);
}

/** Does the handshake on a connection that has spoken plaintext, and been told to go ahead or not; rejects as above. */
export function upgrade(
  owner: Owner,
  client: SmtpClient,
  options: ConnectionOptions = {},
): Promise<TlsClient> {
  return secured(owner, client.socket, options);
}

/** EHLO, STARTTLS, and the handshake. */
export async function connectStarttls(
  owner: Owner,
  address: Address,
  options: ConnectionOptions = {},
): Promise<StarttlsClient> {
  if (address.family === 'unix') throw new Error('TLS tests use TCP');
  const socket = connectPlain({ host: address.host, port: address.port, allowHalfOpen: true });
  owner.teardown(() => socket.destroy());
  const raw = smtpOver(socket);
  const greeting = await raw.expect(220);
  const plain = await raw.command('EHLO client.example', 250);
  await raw.command('STARTTLS', /^220 2\.0\.0 /);
  return Object.assign(await secured(owner, socket, options), { greeting, plain });
}

async function secured(owner: Owner, plain: Socket, options: ConnectionOptions): Promise<TlsClient> {
  const socket = connect({ rejectUnauthorized: false, ...options, socket: plain });
  owner.teardown(() => socket.destroy());
  await within(
    'a TLS handshake',
    new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('closed within the handshake')));
    }),
  );
  return smtpOver(socket) as TlsClient;
}

/** The capabilities in a reply to EHLO. */
export function capabilitiesOf(reply: Reply | string): string[] {
  return [...(typeof reply === 'string' ? parseReply(reply) : reply).lines.slice(1)];
}
