/** What the preparation of a connection has shown of its backend: remembered for the next, and told where it is new. */
import type { BackendSnapshot } from '../pool/snapshot.ts';
import type { SessionContext } from './context.ts';

/** For how long TLS is not tried again with a backend where it failed and `may` be left out. */
const PLAINTEXT_MS = 300_000;

export function notePlaintext(context: SessionContext, backend: BackendSnapshot, detail: string): void {
  const { balancer, preparer, wheel } = context;
  preparer.planFor(balancer.pool)?.plainUntilMs.set(backend.row, wheel.now() + PLAINTEXT_MS);
  balancer.report(backend, { event: 'plaintext', detail });
}

export function noteXclient(context: SessionContext, backend: BackendSnapshot, offered: boolean): void {
  const { balancer, preparer } = context;
  const known = preparer.planFor(balancer.pool)?.offersXclient;
  if (known === undefined || (known.get(backend.row) ?? true) === offered) return;
  known.set(backend.row, offered);
  balancer.report(backend, { event: offered ? 'xclient-offered' : 'xclient-missing' });
}
