/**
 * How the pool of a session was chosen where the server name in TLS does: by a name of a route, or by a wildcard; or the
 * listener's own pool is left, for a name that no route has, and for a client that asks for none.
 */
export const ROUTE_MATCHES = ['name', 'wildcard', 'unknown-name', 'no-name'] as const;
export type RouteMatch = (typeof ROUTE_MATCHES)[number];

/**
 * Why a client that said STARTTLS could not be routed: `injection`: plaintext stood behind it; `invalid`: what followed is
 * no ClientHello; `closed`: the client left before it was whole; `timeout`: it was not whole in time.
 */
export const CLIENT_HELLO_FAULTS = ['injection', 'invalid', 'closed', 'timeout'] as const;
export type ClientHelloFault = (typeof CLIENT_HELLO_FAULTS)[number];
