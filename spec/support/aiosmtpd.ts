/** aiosmtpd, Python's SMTP library, as a backend that expects a PROXY header, or one that speaks LMTP. */
import { fileURLToPath } from 'node:url';
import type { IpAddress } from '../../lib/core/address.ts';
import { packageRoot } from '../../lib/core/package.ts';
import { loopback } from './free-port.ts';
import type { Owner } from './owner.ts';
import { start } from './processes.ts';

export interface Aiosmtpd {
  readonly address: IpAddress;
  /** Clients as PROXY headers named them, `192.0.2.7:4711`, in the order of their coming. */
  clients(): string[];
  /** Recipients of each message so far. */
  messages(): string[][];
}

/** Debian's own Python is the one that has Debian's packages. */
const PYTHON = '/usr/bin/python3';

/** Starts one on a free port: `needs(...AIOSMTPD)`. */
export async function startAiosmtpd(owner: Owner, protocol: 'smtp' | 'lmtp' = 'smtp'): Promise<Aiosmtpd> {
  const script = fileURLToPath(new URL('spec/support/aiosmtpd-sink.py', packageRoot));
  const program = start(owner, PYTHON, ['-W', 'ignore', script, protocol], { interactive: true });
  const [, port] = await program.printed(/listening (\d+)/);
  return {
    address: loopback(Number(port)),
    clients: () => Array.from(program.stdout.matchAll(/^client (\S+)$/gm), ([, client = '']) => client),
    messages: () => Array.from(program.stdout.matchAll(/^message (\S+)$/gm), ([, to = '']) => to.split(',')),
  };
}
