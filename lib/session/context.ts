import type { Admission } from '../admission/admission.ts';
import type { DescriptorBudget } from '../admission/descriptor-budget.ts';
import type { Balancer } from '../balancer/balancer.ts';
import type { CidrSet } from '../core/cidr.ts';
import type { ShardStats } from '../core/shard-stats.ts';
import type { TimerWheel } from '../core/timer-wheel.ts';
import type { Transport } from '../transport/contract.ts';
import type { TlsTermination } from './client-tls.ts';
import type { Preparer } from './preparation-plan.ts';
import type { SessionRecord } from './record.ts';
import type { Routing } from './routing.ts';
import type { Session } from './session.ts';
import type { ListenerSnapshot } from './snapshot.ts';
import type { StickyMemory } from './sticky.ts';
import type { WarmSource } from './warm-stock.ts';

/** All that the sessions of one listener share: the world as a session sees it. */
export interface SessionContext {
  readonly listener: ListenerSnapshot;
  readonly balancer: Balancer;
  readonly admission: Admission;
  readonly proxyFrom: CidrSet;
  readonly descriptors: DescriptorBudget;
  readonly transport: Transport;
  readonly preparer: Preparer;
  readonly warm: WarmSource;
  /** Null where TLS is passed through. */
  readonly tls: TlsTermination | null;
  /** Null unless the server name in TLS chooses the pool; then `balancer` is that of the pool for all other names. */
  readonly routing: Routing | null;
  readonly wheel: TimerWheel;
  readonly sticky: StickyMemory;
  readonly stats: ShardStats;
  /** The name spoken in refusals. */
  readonly hostName: string;
  /** Unique over instances and restarts; the PROXY protocol's unique id and the log's. */
  readonly nextId: () => string;
  /** Takes the record of each session that ends; null where nobody wants them, and none is made. */
  readonly record: ((record: SessionRecord) => void) | null;
  /** The session is over, nothing of it is left. */
  readonly onClosed: (session: Session) => void;
  /** A fault of the program, which has ended this session. */
  readonly onError: (error: unknown) => void;
}
