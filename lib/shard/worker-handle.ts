import { writeSync } from 'node:fs';
import type { ShardHandle, ShardReports } from './handle.ts';
import { countTaken } from './line-gate.ts';
import type { Answers, FromWorker, Request, ToWorker, WorkerStart } from './messages.ts';
import type { BoundSocket } from './sockets.ts';
import type { SpawnShard } from './spawn.ts';
import { answerShard } from './sticky-messages.ts';

/** Milliseconds for a thread to be there; the TypeScript loader of a checkout is the slow part. */
const START_TIMEOUT_MS = 20_000;
/** Milliseconds for an answer: a thread that hangs must not hold up the control plane. */
const ANSWER_TIMEOUT_MS = 10_000;
/** Milliseconds for a thread that was told to leave. */
const END_TIMEOUT_MS = 1_000;

/** What is written to a shard's eventfd: a count, in the machine's byte order (eventfd(2)). */
const WAKE = new Uint8Array(new BigUint64Array([1n]).buffer);

interface Waiting {
  readonly answered: (value: Answers[keyof Answers]) => void;
  readonly failed: (error: Error) => void;
}

/** A shard in a thread of its own. */
export interface WorkerHandle extends ShardHandle {
  /** Resolves when the thread is gone, with why, where nobody had told it to. */
  readonly gone: Promise<{ readonly unexpected: boolean; readonly error: unknown }>;
  /** Ends the thread, whatever it is doing, as if it had died of `why`. */
  kill(why: Error): void;
}

/** Starts a thread, and resolves when it is there. It listens nowhere yet. */
export async function startWorker(
  start: WorkerStart,
  reports: ShardReports,
  spawn: SpawnShard,
): Promise<WorkerHandle> {
  const worker = spawn(start);
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  let wake: number | null = null;
  let bound: readonly BoundSocket[] = [];
  let ending = false;
  let over = false;
  let error: unknown = null;
  let isReady = (): void => {};
  const ready = new Promise<void>(resolve => {
    isReady = resolve;
  });

  worker.on('error', thrown => {
    error = thrown;
  });
  const gone = new Promise<Awaited<WorkerHandle['gone']>>(resolve => {
    worker.once('exit', code => {
      over = true;
      const lost = new Error('a shard has ended');
      for (const { failed } of waiting.values()) failed(lost);
      waiting.clear();
      resolve({
        unexpected: !ending,
        error: error ?? new Error(`its thread has exited with status ${code}`),
      });
    });
  });

  const post = (message: ToWorker): void => {
    if (over || ending) return;
    worker.postMessage(message);
    if (wake !== null) writeSync(wake, WAKE);
  };

  const ask = <A extends Request['ask']>(
    request: Extract<Request, { ask: A }>,
    timeoutMs = ANSWER_TIMEOUT_MS,
  ): Promise<Answers[A]> =>
    new Promise((resolve, reject) => {
      if (over || ending) return reject(new Error('a shard has ended'));
      const id = ++lastId;
      const settle = (): void => {
        clearTimeout(deadline);
        waiting.delete(id);
      };
      const deadline = Number.isFinite(timeoutMs)
        ? setTimeout(() => {
            settle();
            reject(new Error(`a shard has not answered within ${timeoutMs / 1_000} s`));
          }, timeoutMs)
        : undefined;
      waiting.set(id, {
        answered(value) {
          settle();
          resolve(value as Answers[A]);
        },
        failed(why) {
          settle();
          reject(why);
        },
      });
      post({ type: 'ask', id, request });
    });

  worker.on('message', (message: FromWorker) => {
    switch (message.type) {
      case 'ready':
        wake = message.wake;
        return isReady();
      case 'answer':
        return waiting.get(message.id)?.answered(message.value);
      case 'failure':
        return waiting.get(message.id)?.failed(new Error(message.message));
      case 'lines':
        countTaken(start.memory.linesTaken, message.lines.length);
        return reports.onLines(message.lines);
      case 'recall':
      case 'claim':
        return void answerShard(reports.keeper, message).then(post);
      case 'backend':
        return reports.onBackendEvent(message.event);
      case 'error':
        return reports.onError(message.error);
    }
  });

  const abort = async (): Promise<void> => void (await ask({ ask: 'abort' }));
  const kill = (why: Error): void => {
    if (ending || over) return;
    error ??= why;
    void worker.terminate();
  };
  const handle: WorkerHandle = {
    gone,
    kill,
    get bound() {
      return bound;
    },
    async prepare(snapshot, places) {
      let next: readonly BoundSocket[];
      try {
        next = await ask({ ask: 'prepare', snapshot, places });
      } catch (why) {
        // It may be late, and must not keep what nobody wants any more.
        abort().catch(() => {});
        throw why;
      }
      return {
        bound: next,
        async commit() {
          // The order is given: even a thread that is late will do it.
          bound = next;
          await ask({ ask: 'commit' });
        },
        abort,
      };
    },
    publish: async pools => void (await ask({ ask: 'publish', pools })),
    views: filter => ask({ ask: 'views', filter }),
    endSessions: (pool, backend) => ask({ ask: 'end-sessions', pool, backend }),
    close: async handedOver => void (await ask({ ask: 'close', handedOver })),
    drain: async handedOver => void (await ask({ ask: 'drain', handedOver }, Number.POSITIVE_INFINITY)),
    cut: () => post({ type: 'cut' }),
    async end() {
      if (!ending) {
        ending = true;
        // Woken before it is told: once it has heard, it closes what it is woken by. Where it looks up too soon, it does so
        // again within a tick.
        if (!over && wake !== null) writeSync(wake, WAKE);
        if (!over) worker.postMessage({ type: 'end' } satisfies ToWorker);
      }
      const deadline = setTimeout(() => void worker.terminate(), END_TIMEOUT_MS);
      await gone;
      clearTimeout(deadline);
    },
  };

  const late = setTimeout(
    () => kill(new Error(`its thread was not there within ${START_TIMEOUT_MS / 1_000} s`)),
    START_TIMEOUT_MS,
  );
  const died = await Promise.race([ready.then(() => null), gone]);
  clearTimeout(late);
  if (died !== null) throw died.error;
  return handle;
}
