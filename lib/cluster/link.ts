/** One connection to Redis as the cluster sees it: commands that never throw, and one line per change of state. */
import type { RedisConfig } from '../config/config.ts';
import { type MonotonicMs, monotonicMs } from '../core/clock.ts';
import { printable } from '../core/text.ts';
import { createClient, type RedisClient } from './connect.ts';
import { COMMAND_MS, FAULT_MS } from './limits.ts';
import type { Script } from './script.ts';

/** Where the lines of the cluster go; a pino logger is one. */
export interface ClusterLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface LinkState {
  /** `reachable` when every kind of command that has failed lately has been done since. */
  readonly status: 'connecting' | 'reachable' | 'unreachable';
  /** Why it is unreachable, safe to show; null otherwise. */
  readonly reason: string | null;
  /** Milliseconds the last answer took; null before the first. */
  readonly roundTripMs: number | null;
  /** Commands that failed, since the start. */
  readonly errors: number;
  /** Connections made anew, since the start. */
  readonly reconnects: number;
}

export interface Link {
  readonly client: RedisClient;
  /** Runs a script; undefined when Redis did not do it, for whatever reason, within COMMAND_MS. Never rejects. */
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /** As `run`, for any other command. */
  ask<T>(command: (client: RedisClient) => Promise<T>): Promise<T | undefined>;
  state(): LinkState;
  /** Closes the connection without a line; commands after it fail. */
  close(): void;
}

/** What can fail by itself: a script, all other commands, and the connection, with which everything fails. */
type Kind = Script | 'command' | 'connection';

/** Starts to connect at once. @throws {Error} where a certificate's file cannot be read */
export function openLink(redis: RedisConfig, log: ClusterLog, now: MonotonicMs = monotonicMs): Link {
  const client = createClient(redis);
  let status: LinkState['status'] = 'connecting';
  let reason: string | null = null;
  let roundTripMs: number | null = null;
  let errors = 0;
  let connections = 0;
  let lastFault: string | null = null;
  let isClosed = false;
  /**
   * What has failed and was not done since, with the time of the failure. A Redis that is read-only or out of memory goes
   * on answering questions: it is what it refused that must work again.
   */
  const failing = new Map<Kind, number>();

  const reachable = (kind: Kind, tookMs: number): void => {
    if (status === 'reachable' || isClosed) return;
    // Answers that are almost too late are no recovery from those that were.
    if (status === 'unreachable' && tookMs > COMMAND_MS / 2) return;
    failing.delete(kind);
    failing.delete('connection');
    for (const [failed, atMs] of failing) if (now() - atMs > FAULT_MS) failing.delete(failed);
    if (failing.size > 0) return;
    status = 'reachable';
    reason = null;
    log.info({ event: 'redis' }, 'redis is reachable');
  };
  const unreachable = (kind: Kind, why: string): void => {
    if (isClosed) return;
    errors++;
    failing.set(kind, now());
    reason = printable(why);
    if (status === 'unreachable') return;
    status = 'unreachable';
    log.warn({ event: 'redis', reason }, `redis is not reachable: ${reason}`);
  };

  client.on('ready', () => {
    connections++;
    lastFault = 'the connection was closed';
  });
  // Why a connection failed; commands only learn that there is none.
  client.on('error', (error: Error) => {
    lastFault = explain(error);
  });
  // Rejections are told by 'error'; the client goes on trying by itself.
  client.connect().catch((error: Error) => {
    // That there is none says nothing of why.
    if (lastFault === null || !withoutConnection(error)) lastFault = explain(error);
  });

  async function send<T>(kind: Kind, command: (client: RedisClient) => Promise<T>): Promise<T | undefined> {
    if (isClosed) return undefined;
    const from = now();
    try {
      const answer = await inTime(command(client));
      roundTripMs = now() - from;
      reachable(kind, roundTripMs);
      return answer;
    } catch (error) {
      const why = withoutConnection(error) ? lastFault : explain(error);
      // The first connection is still on its way: nothing to tell.
      if (why !== null) unreachable(isRefusal(error) ? kind : 'connection', why);
      return undefined;
    }
  }

  return {
    client,
    ask: command => send('command', command),
    run: (script, keys, args) => send(script, () => script.run(client, keys, args)),
    state: () => ({ status, reason, roundTripMs, errors, reconnects: Math.max(0, connections - 1) }),
    close() {
      isClosed = true;
      client.disconnect();
    },
  };
}

/** Whatever the library does with its retries, nobody waits longer than that. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${COMMAND_MS} ms`)), COMMAND_MS);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Redis was there, and did not do it. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && (error.name === 'ReplyError' || REDIRECTED.test(error.message));
}

/** How a Redis Cluster's client gives up on a command, before what it was told last: slots that are being moved. */
const REDIRECTED = /^Too many Cluster redirections\. Last error: ReplyError: /;

function withoutConnection(error: unknown): boolean {
  return (
    error instanceof Error &&
    /enableOfflineQueue|Connection is closed|Command aborted|max retries|Failed to refresh/i.test(
      error.message,
    )
  );
}

/** The message alone: the error of a command carries its arguments. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return 'an unknown fault';
  const { code } = error as NodeJS.ErrnoException;
  const last = (error as { lastNodeError?: Error }).lastNodeError;
  if (last !== undefined && last !== error) return explain(last);
  if (error.message === 'Command timed out') return `no answer within ${COMMAND_MS} ms`;
  // Where in a script it happened is nothing to an operator.
  const message = error.message.replace(REDIRECTED, '').replace(/\.? script: [0-9a-f]{40},.*$/s, '');
  return message !== '' ? message : (code ?? 'the connection failed');
}
