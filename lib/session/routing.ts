import type { Balancer } from '../balancer/balancer.ts';
import type { RouteMatch } from '../core/routing.ts';
import { CAPABILITIES, capabilityBit } from '../smtp/capabilities.ts';
import type { SessionContext } from './context.ts';

/** The context of sessions of one pool, and why it is that one. */
export interface Route {
  readonly by: RouteMatch;
  readonly context: SessionContext;
}

/** What the sessions of a listener with `tls.routeBy` share. */
export interface Routing {
  /** What clients hear of us until STARTTLS. */
  readonly words: RoutingWords;
  /** `serverName` in lower case; null where the client asks for none. */
  route(serverName: string | null): Route;
}

export interface RoutingWords {
  readonly greeting: Uint8Array;
  readonly ehlo: Uint8Array;
  readonly helo: Uint8Array;
  readonly bye: Uint8Array;
  /** Mask of what the reply to EHLO offers. */
  readonly capabilities: number;
}

/**
 * The context of a listener that routes, where it does: from the `context` of its own pool, which serves all names that no
 * route has, and the balancers of the others. An exact name comes before a wildcard, and a wildcard stands for one label,
 * as in certificates (RFC 6125 section 6.4.3).
 */
export function routed(context: SessionContext, balancerOf: (pool: string) => Balancer): SessionContext {
  const { routing: snapshot } = context.listener;
  if (snapshot === null) return context;
  const names = new Map<string, SessionContext>();
  const routing: Routing = {
    words: wordsOf(context.hostName, snapshot.capabilities),
    route(serverName) {
      if (serverName === null) return { by: 'no-name', context: own };
      const exact = names.get(serverName);
      if (exact !== undefined) return { by: 'name', context: exact };
      const dot = serverName.indexOf('.');
      const wide = dot > 0 ? names.get(`*${serverName.slice(dot)}`) : undefined;
      return wide === undefined ? { by: 'unknown-name', context: own } : { by: 'wildcard', context: wide };
    },
  };
  const own = { ...context, routing };
  const contexts = new Map([[own.balancer.pool.name, own]]);
  for (const { names: patterns, pool } of snapshot.routes) {
    const other = contexts.get(pool) ?? { ...own, balancer: balancerOf(pool) };
    contexts.set(pool, other);
    for (const pattern of patterns) names.set(pattern, other);
  }
  return own;
}

function wordsOf(hostName: string, capabilities: readonly string[]): RoutingWords {
  const line = (text: string): Uint8Array => Buffer.from(`${text}\r\n`, 'latin1');
  const keywords = [...capabilities.filter(text => keywordOf(text) !== 'STARTTLS'), 'STARTTLS'];
  const offered = new Set(keywords.map(keywordOf));
  const lines = [hostName, ...keywords];
  return {
    greeting: line(`220 ${hostName} ESMTP`),
    ehlo: line(lines.map((text, at) => `250${at === lines.length - 1 ? ' ' : '-'}${text}`).join('\r\n')),
    helo: line(`250 ${hostName}`),
    bye: line(`221 2.0.0 ${hostName} closing connection`),
    capabilities: CAPABILITIES.filter(name => offered.has(name)).reduce(
      (mask, name) => mask | capabilityBit(name),
      0,
    ),
  };
}

function keywordOf(capability: string): string {
  return (capability.split(' ')[0] ?? '').toUpperCase();
}
