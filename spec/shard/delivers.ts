import type { Instance } from '../support/instance.ts';
import type { Owner } from '../support/owner.ts';
import { connectClient } from '../support/smtp-client.ts';

/** A whole session, with a message: the instance serves. */
export async function delivers(owner: Owner, instance: Instance): Promise<void> {
  const client = await connectClient(owner, instance.address());
  await client.expect(220);
  await client.command('EHLO some.example', 250);
  await client.deliver();
  await client.command('QUIT', 221);
  client.end();
}
