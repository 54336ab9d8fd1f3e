import type { IpAddress } from '../lib/core/address.ts';
import { openClient, type SmtpClient } from './smtp-client.ts';

/** Load from this process, for what Postfix's smtp-source cannot do and for machines without it. */
export interface Load {
  readonly address: IpAddress;
  /** Messages in all, or sessions where `bytes` is undefined. */
  readonly count: number;
  /** Sessions open at a time. */
  readonly parallel: number;
  /** Octets of a message's body; undefined sends none: connect, greeting, QUIT. */
  readonly bytes?: number;
  /** All messages of a slot over one session, instead of a session for each. */
  readonly kept?: boolean;
}

/** Resolves when all is done; rejects with the first thing that was not as expected. */
export async function generate(load: Load): Promise<void> {
  const body = load.bytes === undefined ? undefined : messageOf(load.bytes);
  let left = load.count;
  const take = () => left > 0 && left-- > 0;

  async function slot(): Promise<void> {
    while (take()) {
      const client = openClient(load.address);
      await client.greeting();
      if (body !== undefined) {
        await client.ask('EHLO bench.example\r\n', 250);
        do await deliver(client, body);
        while (load.kept === true && take());
      }
      await client.quit();
    }
  }
  await Promise.all(Array.from({ length: Math.min(load.parallel, load.count) }, slot));
}

/** Sessions that have said EHLO and NOOP, so that every handshake is over, and then say nothing. */
export async function openIdle(address: IpAddress, count: number): Promise<readonly SmtpClient[]> {
  const clients: SmtpClient[] = [];
  async function slot(): Promise<void> {
    while (clients.length < count) {
      const client = openClient(address);
      clients.push(client);
      await client.greeting();
      await client.ask('EHLO bench.example\r\n', 250);
      await client.ask('NOOP\r\n', 250);
    }
  }
  await Promise.all(Array.from({ length: Math.min(32, count) }, slot));
  return clients;
}

async function deliver(client: SmtpClient, body: Uint8Array): Promise<void> {
  await client.ask('MAIL FROM:<from@bench.example>\r\n', 250);
  await client.ask('RCPT TO:<to@bench.example>\r\n', 250);
  await client.ask('DATA\r\n', 354);
  await client.ask(body, 250);
}

/** A header, a body of `bytes` octets in lines of at most 80, and the dot that ends them. */
function messageOf(bytes: number): Uint8Array {
  const line = (octets: number) => (octets < 2 ? '' : `${'X'.repeat(octets - 2)}\r\n`);
  const body = line(80).repeat(Math.floor(bytes / 80)) + line(bytes % 80);
  return Buffer.from(`Subject: bench\r\n\r\n${body}.\r\n`, 'latin1');
}
