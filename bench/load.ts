import { formatAddress } from '../lib/core/address.ts';
import type { Children } from './children.ts';
import { generate, type Load } from './generator.ts';
import { findProgram } from './programs.ts';

/** What sends the messages, in words. */
export function loadSays(): string {
  return findProgram('smtp-source') === undefined ? 'the built-in generator' : 'smtp-source (Postfix)';
}

/** Sends messages, by Postfix's smtp-source where it is installed; resolves when the last one was accepted. */
export async function send(children: Children, load: Load & { readonly bytes: number }): Promise<void> {
  const source = findProgram('smtp-source');
  if (source === undefined) return generate(load);
  const kept = load.kept === true ? ['-d'] : [];
  const size = ['-s', `${load.parallel}`, '-m', `${load.count}`, '-l', `${load.bytes}`];
  await children.run(source, ['-4', ...kept, ...size, formatAddress(load.address)]);
}
