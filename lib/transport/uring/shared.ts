import type { DescriptorHolder, DescriptorTable } from '../linux/descriptor.ts';
import type { Libc, RingCalls } from '../linux/libc.ts';
import type { Pipe } from '../linux/pipe.ts';
import type { TcpOptions } from '../linux/tcp-options.ts';
import type { Buffers } from './buffers.ts';
import type { Operations } from './operations.ts';
import type { Ring } from './ring.ts';

export interface GoesOn {
  goOn(): void;
}

/** What the connections of a shard have in common. */
export interface Shared {
  readonly libc: Libc;
  readonly calls: RingCalls;
  readonly table: DescriptorTable<DescriptorHolder>;
  readonly ring: Ring;
  readonly buffers: Buffers;
  /** For bulk transfers. */
  readonly pipe: Pipe;
  readonly operations: Operations;
  readonly tcp: TcpOptions;
  /** Told of handlers that throw: a fault of ours, which ends one session. */
  readonly onHandlerError: (error: unknown) => void;
  /** Who goes on when this turn's completions are worked off: nobody is told within a call of theirs. */
  later: GoesOn[];
}
