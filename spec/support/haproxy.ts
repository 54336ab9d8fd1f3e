/** HAProxy in TCP mode, as a peer: `needs('haproxy')`. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatAddress, type IpAddress } from '../../lib/core/address.ts';
import type { Owner } from './owner.ts';
import { start } from './processes.ts';
import { temporaryDirectory } from './temporary-directory.ts';

/** From one address to another; options as its configuration has them, such as `accept-proxy` and `send-proxy-v2`. */
export interface Forward {
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly bindOptions?: string;
  readonly serverOptions?: string;
}

/** Resolves when it accepts on all addresses. */
export async function startHaproxy(owner: Owner, forwards: readonly Forward[]): Promise<void> {
  const listens = forwards.map(
    ({ from, to, bindOptions = '', serverOptions = '' }, at) =>
      `listen l${at}\n  bind ${formatAddress(from)} ${bindOptions}\n  server b ${formatAddress(to)} ${serverOptions}\n`,
  );
  const defaults = ['mode tcp', 'timeout connect 5s', 'timeout client 20s', 'timeout server 20s'];
  const file = join(await temporaryDirectory(owner), 'haproxy.cfg');
  await writeFile(file, `defaults\n  ${defaults.join('\n  ')}\n${listens.join('')}`);
  const program = start(owner, 'haproxy', ['-db', '-f', file]);
  await Promise.all(forwards.map(({ from }) => program.accepting(from)));
}
