/** What connections have shown of their backends: remembered for the next, and told where it is new. */
import type { BackendSnapshot } from '../pool/snapshot.ts';
import { capabilityBit } from '../smtp/capabilities.ts';
import type { SessionContext } from './context.ts';
import type { HandshakeView } from './handshake.ts';

const XCLIENT = capabilityBit('XCLIENT');

type NewsContext = Pick<SessionContext, 'balancer' | 'preparer' | 'wheel'>;

/** For how long TLS is not tried again with a backend where it failed and `may` be left out. */
const PLAINTEXT_MS = 300_000;

export function notePlaintext(context: NewsContext, backend: BackendSnapshot, detail: string): void {
  const { balancer, preparer, wheel } = context;
  preparer.planFor(balancer.pool)?.plainUntilMs.set(backend.row, wheel.now() + PLAINTEXT_MS);
  balancer.report(backend, { event: 'plaintext', detail });
}

export function noteXclient(context: NewsContext, backend: BackendSnapshot, offered: boolean): void {
  const { balancer, preparer } = context;
  const known = preparer.planFor(balancer.pool)?.offersXclient;
  if (known === undefined || (known.get(backend.row) ?? true) === offered) return;
  known.set(backend.row, offered);
  balancer.report(backend, { event: offered ? 'xclient-offered' : 'xclient-missing' });
}

/**
 * A backend that offers XCLIENT where it knows nobody but us believes each client that says it: nobody reads along here to
 * stop them, as in a pool with `identity: xclient`.
 */
export function noteExposure(
  { balancer, preparer, stats }: SessionContext,
  backend: BackendSnapshot | null,
  { capabilities }: HandshakeView,
): void {
  if ((capabilities & XCLIENT) === 0 || backend === null || balancer.pool.identity !== 'none') return;
  stats.backends.add(backend.row, 'xclient/exposed');
  const name = `${balancer.pool.name}/${backend.name}`;
  if (preparer.exposed.has(name)) return;
  preparer.exposed.add(name);
  balancer.report(backend, { event: 'xclient-exposed' });
}
