import { availableParallelism } from 'node:os';
import type { Config } from './config/config.ts';
import { MAX_SHARDS } from './core/limits.ts';
import type { Logger } from './core/log.ts';
import type { Patience } from './shard/crew.ts';
import type { ShardEvent } from './shard/data-plane.ts';
import type { SeatKind } from './shard/seat.ts';
import type { SpawnShard } from './shard/spawn.ts';
import { FAST_TRANSPORTS, type FastTransportName, type LoadedFast, loadFast } from './transport/fast.ts';
import { CAN_SHARE } from './transport/net/listen.ts';

/** Which shards an instance has. */
export interface ShardChoice {
  readonly seats: readonly SeatKind[];
  /** Sentences for the log: where `auto` has come to less than it could have. */
  readonly notes: readonly string[];
  /** Starts threads in another way than usual. */
  readonly spawn?: SpawnShard;
  /** How long a thread may be silent, if not as long as usual. */
  readonly patience?: Patience;
}

/** Tells whether a transport can be had on this machine; tests say otherwise. */
export type LoadTransport = (name: FastTransportName, shards: number) => Promise<LoadedFast>;

/**
 * `auto` takes the fastest transport there is on this machine. Rejects with a sentence where what the configuration
 * asks for by name cannot be had here.
 */
export async function chooseShards(
  { shards, transport }: Pick<Config, 'shards' | 'transport'>,
  load: LoadTransport = loadFast,
): Promise<ShardChoice> {
  const auto = shards === 'auto';
  const count = auto ? Math.min(availableParallelism(), MAX_SHARDS) : shards;
  if (transport === 'net') return netShards(count, auto, []);
  const notes: string[] = [];
  for (const name of transport === 'auto' ? FAST_TRANSPORTS : [transport]) {
    const loaded = await load(name, count);
    if (loaded.reason === undefined) {
      if (loaded.withoutTls !== null)
        notes.push(`where TLS is spoken, transport net serves: ${name} ${loaded.withoutTls}`);
      return fastShards(name, count, loaded.withoutTls === null, notes);
    }
    if (transport !== 'auto') throw new Error(`transport: ${name}: ${loaded.reason}`);
    notes.push(`transport auto goes without ${name}: ${loaded.reason}`);
  }
  return netShards(count, auto, notes);
}

/** Beside the fast ones stand shards for those listeners that need Node's sockets; they start with the first of these. */
function fastShards(
  transport: FastTransportName,
  count: number,
  speaksTls: boolean,
  notes: readonly string[],
): ShardChoice {
  const fast = Array.from({ length: count }, (): SeatKind => ({ transport, speaksTls, inThread: false }));
  const beside = Array.from(
    { length: CAN_SHARE ? count : 1 },
    (): SeatKind => ({ transport: 'net', speaksTls: true, inThread: false, onDemand: true }),
  );
  return { seats: [...fast, ...beside], notes };
}

function netShards(count: number, auto: boolean, notes: readonly string[]): ShardChoice {
  const alone: SeatKind = { transport: 'net', speaksTls: true, inThread: true };
  if (count === 1) return { seats: [alone], notes };
  if (!CAN_SHARE) {
    const why = `transport net runs in one shard on Node ${process.version}: several need 23.1 or later`;
    if (!auto) throw new Error(`shards: ${count}: ${why}`);
    return { seats: [alone], notes: [...notes, why] };
  }
  return {
    seats: Array.from({ length: count }, () => ({ transport: 'net', speaksTls: true, inThread: false })),
    notes,
  };
}

/** What becomes of the shards, for whoever reads the log. */
export function logShardEvent(logger: Logger, event: ShardEvent): void {
  const { shard, transport } = event;
  switch (event.event) {
    case 'lost': {
      const { error: err, sessions, delayMs } = event;
      logger.error(
        { shard, transport, sessions, delayMs, err },
        'a shard was lost, and its sessions with it',
      );
      return;
    }
    case 'not-replaced':
      logger.error(
        { shard, transport, delayMs: event.delayMs, err: event.error },
        'it cannot be replaced yet',
      );
      return;
    case 'replaced':
      logger.warn({ shard, transport }, 'the shard has been replaced');
      return;
    case 'stuck':
      logger.error({ shard, transport, silentMs: Math.round(event.silentMs) }, 'a shard hangs');
      return;
    case 'unstuck':
      logger.warn({ shard, transport }, 'the shard goes on');
      return;
  }
}
