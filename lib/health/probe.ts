import { connect, type Socket } from 'node:net';
import { type Address, formatAddress, ipAddress } from '../core/address.ts';
import { type MonotonicMs, monotonicMs } from '../core/clock.ts';
import { encodeProxyV1, encodeProxyV2 } from '../proxy-protocol/encode.ts';
import { type Conversation, createConversation, later } from './conversation.ts';
import { converse, type Dialogue } from './dialogue.ts';
import type { CheckedBackend } from './options.ts';
import { type Outcome, type Verdict, verdict } from './outcome.ts';
import { readTrust } from './starttls.ts';

export interface ProbeResult extends Verdict {
  /** Milliseconds from dialling to the verdict. */
  readonly durationMs: number;
}

/** One check that is on its way. */
export interface Probe {
  /** Resolves within `timeoutMs`; with null where the probe was cancelled before. Never rejects. */
  readonly result: Promise<ProbeResult | null>;
  /** Resolves when its socket is gone, at most LEAVE_MS after the result. Never rejects. */
  readonly closed: Promise<void>;
  /** No result is wanted any more; the leave is still taken in order. */
  cancel(): void;
}

/** Milliseconds for QUIT, 221 and the close, once the verdict is there. */
export const LEAVE_MS = 2_000;
/** Replies heard out while 221 is awaited. */
const FAREWELL_REPLIES = 16;
/** A timeout that comes this much later than it should was held up on this side, and so was everything else. */
const STALLED_MS = 500;

/** Begins to check a backend whose `check.type` is not none. */
export function startProbe(backend: CheckedBackend, now: MonotonicMs = monotonicMs): Probe {
  const { timeoutMs, starttls } = backend.check;
  const startedAt = now();
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  const { promise: result, resolve } = later<ProbeResult | null>();
  let cancelled = false;

  const settle = (found: Verdict): void => {
    clearTimeout(timer);
    const durationMs = now() - startedAt;
    const stalled = found.outcome === 'timeout' && durationMs > timeoutMs + STALLED_MS;
    const said = stalled ? verdict('failed', 'this process was held up; the backend may be well') : found;
    resolve(cancelled ? null : { ...said, durationMs });
  };

  const check = async (): Promise<void> => {
    const trust = await readTrust(starttls);
    if (!trust.ok) return settle(verdict('failed', trust.detail));
    const socket = connect({
      ...target(backend.address),
      ...(backend.source !== undefined && { localAddress: backend.source }),
      allowHalfOpen: true,
      noDelay: true,
    });
    const trouble = await opened(socket, deadline.signal);
    if (trouble !== null) {
      socket.destroy();
      settle(trouble);
      return gone(socket);
    }
    const header = headerOf(backend, socket);
    if (header !== null) socket.write(header);
    const dialogue: Dialogue = { talk: createConversation(socket), greeted: false };
    settle(
      backend.check.type === 'tcp'
        ? verdict('ok', 'took the connection')
        : await converse(dialogue, backend, trust.context, deadline.signal),
    );
    await leave(dialogue);
  };

  return {
    result,
    closed: check(),
    cancel() {
      cancelled = true;
      deadline.abort();
    },
  };
}

function target(address: Address): { host: string; port: number } | { path: string } {
  return address.family === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
}

const DIALLING: ReadonlyMap<string, [Outcome, string]> = new Map([
  ['ECONNREFUSED', ['refused', 'nothing listens at']],
  ['ENOENT', ['refused', 'there is no socket at']],
  ['ECONNRESET', ['reset', 'the connection was reset at']],
  ['EHOSTUNREACH', ['unreachable', 'no way to']],
  ['ENETUNREACH', ['unreachable', 'no way to']],
  ['EHOSTDOWN', ['unreachable', 'the host is down at']],
  ['ENETDOWN', ['unreachable', 'the network is down to']],
  ['ETIMEDOUT', ['timeout', 'no answer to the connect from']],
]);

/** Waits for the connection; the verdict where there is none. */
function opened(socket: Socket, signal: AbortSignal): Promise<Verdict | null> {
  const { promise, resolve } = later<Verdict | null>();
  const settle = (found: Verdict | null): void => {
    signal.removeEventListener('abort', onAbort);
    resolve(found);
  };
  const onAbort = (): void => settle(verdict('timeout', 'no answer to the connect in time'));
  socket.once('connect', () => settle(null));
  // Stays for the life of the socket: an error that nobody hears would end the process.
  socket.on('error', (error: NodeJS.ErrnoException & { address?: string; port?: number }) => {
    const code = error.code ?? error.message;
    const [outcome, words] = DIALLING.get(code) ?? ['failed', 'this side cannot connect to'];
    const where =
      error.port === undefined ? (error.address ?? '') : endpoint(error.address ?? '', error.port);
    settle(verdict(outcome, `${words} ${where} (${code})`));
  });
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  return promise;
}

function endpoint(host: string, port: number): string {
  const address = ipAddress(host, port);
  return address === undefined ? host : formatAddress(address);
}

/**
 * What opens the connection where the pool's backends expect a PROXY header. Version 2 says LOCAL. Version 1 has
 * UNKNOWN for that, but Postfix answers it with 421: so it names the two ends of this very connection.
 */
function headerOf({ identity }: CheckedBackend, socket: Socket): Uint8Array | null {
  if (identity === 'none') return null;
  if (identity === 'proxy-v2') return encodeProxyV2({ command: 'local', source: null, destination: null });
  return encodeProxyV1({
    source: ipAddress(socket.localAddress ?? '', socket.localPort ?? 0) ?? null,
    destination: ipAddress(socket.remoteAddress ?? '', socket.remotePort ?? 0) ?? null,
  });
}

/** Takes leave so that the backend's log stays quiet: QUIT, its 221, FIN, never RST. */
async function leave({ talk, greeted }: Dialogue): Promise<void> {
  const patience = new AbortController();
  const timer = setTimeout(() => {
    patience.abort();
    talk.socket.destroy();
  }, LEAVE_MS);
  if (greeted) await farewell(talk, patience.signal);
  talk.socket.end();
  talk.deafen();
  await gone(talk.socket);
  clearTimeout(timer);
}

async function farewell(talk: Conversation, signal: AbortSignal): Promise<void> {
  if (!talk.leaving) talk.say('QUIT');
  for (let replies = 0; replies < FAREWELL_REPLIES; replies++) {
    const heard = await talk.hear(signal);
    if (heard.kind !== 'reply' || heard.code === 221) return;
  }
}

function gone(socket: Socket): Promise<void> {
  return new Promise(resolve => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}
