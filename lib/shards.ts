import { availableParallelism } from 'node:os';
import type { Config } from './config/config.ts';
import { MAX_SHARDS } from './core/limits.ts';
import type { Logger } from './core/log.ts';
import type { ShardEvent } from './shard/data-plane.ts';
import type { ShardTransport } from './shard/messages.ts';
import type { SpawnShard } from './shard/spawn.ts';
import { CAN_SHARE } from './transport/net/listen.ts';

/** Which shards an instance has. */
export interface ShardChoice {
  readonly seats: readonly { readonly transport: ShardTransport; readonly inThread: boolean }[];
  /** Sentences for the log: where `auto` has come to less than it could have. */
  readonly notes: readonly string[];
  /** Starts threads in another way than usual. */
  readonly spawn?: SpawnShard;
}

/** Throws a sentence where what the configuration asks for by name cannot be had here. */
export function chooseShards({ shards, transport }: Pick<Config, 'shards' | 'transport'>): ShardChoice {
  const cores = Math.min(availableParallelism(), MAX_SHARDS);
  if (transport === 'epoll') throw new Error('transport epoll is not there');
  return netShards(shards === 'auto' ? cores : shards, shards === 'auto');
}

function netShards(count: number, auto: boolean): ShardChoice {
  if (count === 1) return { seats: [{ transport: 'net', inThread: true }], notes: [] };
  if (!CAN_SHARE) {
    const why = `transport net runs in one shard on Node ${process.version}: several need 23.1 or later`;
    if (!auto) throw new Error(`shards: ${count}: ${why}`);
    return { seats: [{ transport: 'net', inThread: true }], notes: [why] };
  }
  return { seats: Array.from({ length: count }, () => ({ transport: 'net', inThread: false })), notes: [] };
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
