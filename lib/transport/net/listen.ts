import { createServer, type Server } from 'node:net';
import { type Address, ipAddress } from '../../core/address.ts';
import { claimPath, releasePath } from '../unix-path.ts';

export interface ListenOnOptions {
  /** Connections the kernel completes before they are accepted; its default unless given. */
  readonly backlog?: number | undefined;
  /** A descriptor that listens there already, handed down by whoever started this process. */
  readonly inherited?: number | undefined;
  /** Sets SO_REUSEPORT; rejects where this Node cannot (before 23.1). */
  readonly shared?: boolean | undefined;
}

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

/** Whether several threads may each have a listening socket of their own on one address. */
export const CAN_SHARE = major > 23 || (major === 23 && minor >= 1);

/**
 * Makes a Node server listen, and resolves with the address it is bound to. Rejects with the system's error. A Unix
 * socket that nobody answers on, left behind by a process that was killed, is replaced; one that is in use, or any other
 * file, is not.
 */
export async function listenOn(
  server: Server,
  address: Address,
  options: ListenOnOptions = {},
): Promise<Address> {
  const { backlog, inherited, shared } = options;
  if (inherited !== undefined) {
    await listening(server, { fd: inherited, ...(backlog && { backlog }) });
  } else if (address.family === 'unix') {
    await claimPath(address.path, path => listening(server, { path, ...(backlog && { backlog }) }));
  } else {
    // `0.0.0.0:25` and `[::]:25` stand beside each other in a configuration: each is its own family only.
    const ipv6Only = address.family === 'ipv6';
    if (shared && !CAN_SHARE) throw new Error(`this Node (${process.version}) cannot share a listening port`);
    await listening(server, {
      host: address.host,
      port: address.port,
      ipv6Only,
      ...(backlog && { backlog }),
      ...(shared && { reusePort: true }),
    });
  }
  const bound = server.address();
  if (bound === null || typeof bound === 'string') return address;
  return ipAddress(bound.address, bound.port) ?? address;
}

/** Rejects with the system's error where a socket that shares its address with nobody could not listen. */
export async function assertFree(address: Address): Promise<void> {
  const server = createServer();
  await listenOn(server, address);
  await new Promise(resolve => server.close(resolve));
}

/**
 * The descriptor a server listens on, for a process that is to inherit it. Node has no public name for it; undefined
 * where this Node keeps it elsewhere.
 */
export function descriptorOf(server: Server): number | undefined {
  const { _handle } = server as { _handle?: { fd?: unknown } };
  return typeof _handle?.fd === 'number' && _handle.fd >= 0 ? _handle.fd : undefined;
}

/**
 * Stops listening, at once; accepted connections live on. `handedOver`: another process listens on the same socket, so
 * the path of a Unix socket must stay.
 */
export function stopListening(server: Server, address: Address, handedOver: boolean): void {
  server.close();
  if (address.family === 'unix' && !handedOver) releasePath(address.path);
}

function listening(server: Server, where: Parameters<Server['listen']>[0] & object): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
