import type { Connection, Relay, RelayHandler, Transport } from '../transport/contract.ts';
import { HandlerRelay } from '../transport/handler-relay.ts';
import type { BackendSearch } from './backend-search.ts';
import type { ClientTls } from './client-tls.ts';
import { EdgeHandshake } from './edge-handshake.ts';
import { GuardedBackend } from './guarded-backend.ts';
import { Handshake, type HandshakeOwner, type SessionHandshake } from './handshake.ts';

/** The handshake of a session: one that reads along, or the one of a session whose TLS ends here. */
export function handshakeOf(
  tls: ClientTls | null,
  client: Connection,
  backend: Connection,
  owner: HandshakeOwner,
): SessionHandshake {
  return tls === null
    ? new Handshake(client, backend, owner)
    : new EdgeHandshake(client, backend, tls, owner);
}

/** A backend that believes what we say of clients must not hear it from them. `greeting` is what it has said. */
export function guarded(
  search: BackendSearch | null,
  backend: Connection,
  greeting: readonly Uint8Array[],
  onBroken: (cause: 'forged-identity' | 'backend-protocol') => void,
): Connection {
  if (search?.trusting !== true) return backend;
  const guard = new GuardedBackend(backend, onBroken);
  guard.greeted(greeting);
  return guard;
}

/** What moves the bytes once the handshake is over: the transport itself, unless what the client says must be read. */
export function relayOf(
  transport: Transport,
  client: Connection,
  backend: Connection,
  handler: RelayHandler,
): Relay {
  return backend instanceof GuardedBackend
    ? new HandlerRelay(client, backend, handler)
    : transport.relay(client, backend, handler);
}
