/** Ports for programs that cannot be told to pick one, and addresses that refuse. */
import { createServer } from 'node:net';
import { type IpAddress, ipAddress } from '../../lib/core/address.ts';

// Below Linux's range for outgoing connections (32768 and up): between asking and using, thousands of
// loopback connections of other tests come and go, and none of them may land on the port.
const FIRST = 20_000;
const LAST = 32_000;
/** Ports that a process has for itself, so that none is given to two between asking and using. */
const EACH = 100;

const first = await ownPorts();
let asked = 0;

/** A port of 127.0.0.1 that nothing listens on now. Where a server can listen on port 0 itself, let it. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let attempt = 0; attempt < EACH; attempt++) {
    const port = first + (asked++ % EACH);
    if (await isFree(host, port)) return port;
  }
  throw new Error(`no free port on ${host} from ${first} to ${first + EACH - 1}`);
}

/** 127.0.0.1 with a free port. */
export async function freeAddress(): Promise<IpAddress> {
  return loopback(await freePort());
}

/** 127.0.0.1 with this port. */
export function loopback(port: number): IpAddress {
  return { family: 'ipv4', host: '127.0.0.1', port };
}

/**
 * An address that answers a SYN with RST. On Linux it is a loopback address of its own, so that no test
 * beside this one starts to listen there.
 */
export async function refusingAddress(): Promise<IpAddress> {
  const octet = () => 1 + Math.floor(Math.random() * 254);
  const host = process.platform === 'linux' ? `127.${octet()}.${octet()}.${octet()}` : '127.0.0.1';
  const address = ipAddress(host, await freePort(host));
  if (address === undefined) throw new Error(`${host} is no address`);
  return address;
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port }, () => server.close(() => resolve(true)));
  });
}

/** The first of them. What says that they are taken is a name without a file (unix(7)), which goes with the process. */
async function ownPorts(): Promise<number> {
  const ranges = (LAST - FIRST) / EACH;
  const start = Math.floor(Math.random() * ranges);
  for (let at = 0; at < ranges; at++) {
    const range = (start + at) % ranges;
    if (process.platform !== 'linux' || (await takes(`\0smtplb-spec-ports-${range}`)))
      return FIRST + range * EACH;
  }
  throw new Error('other processes have all ports that tests may use');
}

function takes(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(path, () => resolve(true)).unref();
  });
}
