import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { type IpAddress, ipAddress } from '../lib/core/address.ts';

/** What is installed on this machine, and which ports are free on it. */

const { PATH = '' } = process.env;
const FOLDERS = [...PATH.split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The full path of an installed program, the administrator's folders included; undefined where there is none. */
export function findProgram(name: string): string | undefined {
  return FOLDERS.map(folder => join(folder, name)).find(path => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** What a program prints, on either stream, when asked for its version. Empty where it cannot be run. */
export function programSays(path: string, ...args: readonly string[]): string {
  try {
    // nginx answers on stderr, haproxy and postconf on stdout.
    return execFileSync('/bin/sh', ['-c', 'exec "$0" "$@" 2>&1', path, ...args], { encoding: 'utf8' });
  } catch {
    return '';
  }
}

/** Below the range from which Linux takes the ports of outgoing connections, so that none of those takes it first. */
const [FIRST_PORT, PORTS] = [20_000, 12_000];

/**
 * A loopback address on which nothing listens now, for a program that cannot be asked which free port it took.
 * Another process may still come first; then that program fails to start and the run says so.
 */
export async function freeAddress(): Promise<IpAddress> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const address = ipAddress('127.0.0.1', FIRST_PORT + Math.floor(Math.random() * PORTS));
    if (address !== undefined && (await isFree(address))) return address;
  }
  throw new Error(`no free port from ${FIRST_PORT} to ${FIRST_PORT + PORTS - 1}`);
}

function isFree(address: IpAddress): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(address.port, address.host, () => server.close(() => resolve(true)));
  });
}
