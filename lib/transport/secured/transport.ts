import type { Connection } from '../contract.ts';
import type { FastTransport } from '../fast.ts';
import { HandlerRelay } from '../handler-relay.ts';
import type { OpenSsl } from '../linux/openssl/load.ts';
import { PIECE_OCTETS, SecurableConnection } from './connection.ts';

/**
 * Adds TLS to a transport that has none. That one never knows: it relays what has stayed plain, and the
 * rest is ciphertext to it.
 */
export function withTls(
  below: FastTransport,
  openssl: OpenSsl,
  onHandlerError: (error: unknown) => void,
): FastTransport {
  const scratch = Buffer.allocUnsafeSlow(PIECE_OCTETS);
  const kit = { openssl, onHandlerError, scratch, later: below.later };
  return {
    name: below.name,
    get wakeDescriptor() {
      return below.wakeDescriptor;
    },
    listen: below.listen,
    connect: below.connect,
    later: below.later,
    start: below.start,
    close: below.close,
    securable: connection => new SecurableConnection(connection, kit),
    secure(connection, options) {
      (connection as SecurableConnection).secure(options);
    },
    relay(first, second, handler) {
      const [plainFirst, plainSecond] = [plainOf(first), plainOf(second)];
      return plainFirst === null || plainSecond === null
        ? new HandlerRelay(first, second, handler)
        : below.relay(plainFirst, plainSecond, handler);
    },
  };
}

/** The transport's own connection, where nothing is between; null where there is. */
function plainOf(connection: Connection): Connection | null {
  return connection instanceof SecurableConnection ? connection.plain : connection;
}
