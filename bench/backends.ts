import type { IpAddress } from '../lib/core/address.ts';
import { formatAddress } from '../lib/core/address.ts';
import type { Children } from './children.ts';
import { findProgram, freeAddress } from './programs.ts';
import { smtplbCommand } from './subjects/smtplb.ts';
import { greeted } from './subjects/subject.ts';

/** What plays the backends, in words. */
export function backendsSay(): string {
  return findProgram('smtp-sink') === undefined ? 'two `smtplb sink`' : 'two smtp-sink (Postfix)';
}

/** Starts two SMTP servers that accept everything and keep nothing; resolves when both greet. */
export async function startBackends(children: Children): Promise<[IpAddress, IpAddress]> {
  const sink = findProgram('smtp-sink');
  async function startOne(): Promise<IpAddress> {
    const address = await freeAddress();
    if (sink === undefined) {
      children.start(process.execPath, [...smtplbCommand().args, 'sink', '--listen', formatAddress(address)]);
    } else {
      // As root it wants to be told whom to become; its own limit of 256 sessions would queue the rest.
      const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
      children.start(sink, ['-4', ...user, '-m', '15000', formatAddress(address), '4096']);
    }
    await greeted(address);
    return address;
  }
  return [await startOne(), await startOne()];
}
