/** A whole session with one message, and what it must look like at the backend: every octet once, in order. */
import type { BackendConnection, ScriptedBackend } from '../support/scripted-backend.ts';
import type { SmtpClient } from '../support/smtp-client.ts';

/** What `deliverOne` sends, octet for octet. */
export const ONE_MESSAGE = [
  'EHLO client.example',
  'MAIL FROM:<from@example.org>',
  'RCPT TO:<to@example.com>',
  'DATA',
  'Subject: test',
  '',
  'Hello.',
  '.',
  'QUIT',
  '',
].join('\r\n');

/** Waits for the greeting, hands in one message, takes leave, and closes when the backend has. */
export async function deliverOne(client: SmtpClient): Promise<void> {
  await client.expect(220);
  await client.command('EHLO client.example', 250);
  await client.deliver();
  await client.command('QUIT', 221);
  await client.expectClosed('fin');
  client.end();
}

/** How many greetings are in what a client received. */
export function greetings(client: SmtpClient): number {
  return client.received.toString('latin1').match(/^220[ -]/gm)?.length ?? 0;
}

/** All octets that reached a backend, over all its connections. */
export function octetsAt(backend: ScriptedBackend): number {
  return backend.connections.reduce(
    (sum: number, connection: BackendConnection) => sum + connection.octets,
    0,
  );
}
