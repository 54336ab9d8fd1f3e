/** A shard in a thread of its own: the entry of that thread. What it imports is what it takes to start. */
import { setTimeout as pause } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { openBoard } from '../core/board.ts';
import { openShardStats } from '../core/shard-stats.ts';
import { type FastTransport, type FastTransportName, loadFast } from '../transport/fast.ts';
import { isOutOfMemory } from '../transport/linux/errno.ts';
import { createNetTransport } from '../transport/net/transport.ts';
import { createLineGate } from './line-gate.ts';
import type { Answers, FromWorker, Request, ToWorker, WorkerStart } from './messages.ts';
import { type PreparedUpdate, type Shard, startShard } from './shard.ts';
import { createKeeperOverMessages } from './sticky-messages.ts';

if (parentPort === null) throw new Error('this is the entry of a worker thread');
const port = parentPort;
const { memory, instance, descriptors, number, transport: kind } = workerData as WorkerStart;

const tell = (message: FromWorker): void => port.postMessage(message);
const onError = (error: unknown): void => tell({ type: 'error', error: cloneable(error) });

/**
 * The kernel gives memory back a while after it was asked to: that of the rings which the main thread has tried, or of a
 * shard that this one replaces.
 */
const MEMORY_BACK = { tries: 20, pauseMs: 50 } as const;

async function openFast(name: FastTransportName): Promise<FastTransport> {
  const loaded = await loadFast(name, 0, memory.possessions);
  if (loaded.create === undefined) throw new Error(loaded.reason);
  for (let tries = 1; ; tries++) {
    try {
      return loaded.create(onError, { descriptorRecord: memory.descriptors });
    } catch (error) {
      if (!isOutOfMemory(error) || tries === MEMORY_BACK.tries) throw error;
      await pause(MEMORY_BACK.pauseMs);
    }
  }
}

/**
 * Does what the main thread asks of a shard. Requests are done one after the other, but for a drain, during which others
 * are answered.
 */
function createServant(shard: Shard): (id: number, request: Request) => void {
  let prepared: PreparedUpdate | null = null;
  let turn: Promise<unknown> = Promise.resolve();

  async function answer(request: Request): Promise<Answers[keyof Answers]> {
    switch (request.ask) {
      case 'prepare':
        prepared = await shard.prepare(request.snapshot, request.places);
        return prepared.bound;
      case 'commit':
        await prepared?.commit();
        prepared = null;
        return null;
      case 'abort':
        await prepared?.abort();
        prepared = null;
        return null;
      case 'publish':
        shard.publish(request.pools);
        return null;
      case 'views':
        return shard.views(request.filter);
      case 'end-sessions':
        return shard.endSessions(request.pool, request.backend);
      case 'close':
        await shard.close(request.handedOver);
        return null;
      case 'drain':
        await shard.drain(request.handedOver);
        return null;
    }
  }

  async function respond(id: number, request: Request): Promise<void> {
    try {
      tell({ type: 'answer', id, value: await answer(request) });
    } catch (error) {
      tell({ type: 'failure', id, message: error instanceof Error ? error.message : String(error) });
    }
  }

  return (id, request) => {
    if (request.ask === 'drain') void turn.then(() => respond(id, request));
    else turn = turn.then(() => respond(id, request));
  };
}

/** Rejects where the transport cannot be had, which ends the thread. */
async function serve(): Promise<void> {
  const fast = kind === 'net' ? null : await openFast(kind);
  const stats = openShardStats(memory.stats);
  const lines = createLineGate(instance, memory.linesTaken, stats.signs, ready =>
    tell({ type: 'lines', lines: ready }),
  );
  const sticky = createKeeperOverMessages(tell);
  const shard = startShard({
    keeper: sticky.keeper,
    board: openBoard(memory.board, memory.holdings),
    stats,
    descriptors,
    number,
    transport: fast ?? createNetTransport(onError),
    onRecords: lines.add,
    onBackendEvent: event => tell({ type: 'backend', event }),
    onError,
  });
  const onRequest = createServant(shard);
  port.on('message', (message: ToWorker) => {
    switch (message.type) {
      case 'ask':
        return onRequest(message.id, message.request);
      case 'recalled':
      case 'claimed':
        return sticky.onMessage(message);
      case 'cut':
        return shard.cut();
      case 'end':
        fast?.close();
        process.exit(0);
    }
  });
  fast?.start();
  tell({ type: 'ready', wake: fast?.wakeDescriptor ?? null });
}

/** Errors cross with name, message and stack; anything odd that was thrown crosses as text. */
function cloneable(error: unknown): unknown {
  return error instanceof Error ? error : String(error);
}

serve().catch(error => {
  // Out of the promise: it ends the thread, and is told, however the process treats rejections.
  setImmediate(() => {
    throw error;
  });
});
