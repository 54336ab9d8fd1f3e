/** An SMTP server that accepts every message and forgets it: for trials and benchmarks. */
import type { Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { type Address, formatAddress, ipAddress } from '../../core/address.ts';
import { LINGER_MS } from '../../core/limits.ts';
import { createDialogue, type SinkTally, sinkGreeting } from './dialogue.ts';

/** How a sink runs. */
export interface SinkOptions {
  readonly listen: Address;
  /** The name it gives in its greeting, a host name or address literal. */
  readonly hostName: string;
  /** Milliseconds without a byte from a client before it hears 421; RFC 5321 section 4.5.3.2.7 asks for 5 minutes. */
  readonly idleTimeoutMs?: number;
}

/** What a sink has done so far. */
export interface SinkStats extends Readonly<SinkTally> {
  /** Connections accepted since the start. */
  readonly connections: number;
  /** Connections open now. */
  readonly active: number;
}

/** A sink that listens. */
export interface Sink {
  /** Where it listens; the port that was given to it where 0 was asked for. */
  readonly address: Address;
  /** Stops accepting, says 421 to who is connected, and resolves when all sockets are closed; at most LINGER_MS. */
  stop(): Promise<void>;
  stats(): SinkStats;
}

/**
 * Starts a sink. Rejects with the system's error where the address cannot be listened on.
 * It reads no faster than its clients take their replies, and keeps nothing of a message.
 */
export async function startSink(options: SinkOptions): Promise<Sink> {
  const { listen, hostName, idleTimeoutMs = 300_000 } = options;
  const tally: SinkTally = { messages: 0, recipients: 0, octets: 0 };
  const sockets = new Set<Socket>();
  let connections = 0;

  const server = createServer({ noDelay: true }, socket => {
    connections++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    serve(socket, hostName, idleTimeoutMs, tally);
  });
  await listening(server, listen);
  // Beyond this point an accept can still fail (out of descriptors); that is the client's loss, not a crash.
  server.on('error', () => {});

  let stopped: Promise<void> | undefined;
  return {
    address: boundAddress(server, listen),
    stats: () => ({ ...tally, connections, active: sockets.size }),
    stop() {
      stopped ??= new Promise(resolve => {
        server.close(() => resolve());
        for (const socket of sockets) sayAndClose(socket, `421 4.3.2 ${hostName} shutting down\r\n`);
      });
      return stopped;
    },
  };
}

function serve(socket: Socket, hostName: string, idleTimeoutMs: number, tally: SinkTally): void {
  const dialogue = createDialogue(hostName, tally);
  socket.on('error', () => {}); // 'close' follows, and is all there is to do
  socket.setTimeout(idleTimeoutMs, () => sayAndClose(socket, `421 4.4.2 ${hostName} idle for too long\r\n`));
  socket.on('drain', () => socket.resume());
  socket.on('data', chunk => {
    if (socket.writableEnded) return;
    const replies = dialogue.feed(chunk);
    if (dialogue.finished) sayAndClose(socket, replies);
    // Who does not read its replies is not read either: the replies in memory stay within one chunk's worth.
    else if (replies !== '' && !socket.write(replies, 'latin1')) socket.pause();
  });
  socket.write(sinkGreeting(hostName), 'latin1');
}

/**
 * Says the last words and half-closes, then reads on until the client closes too: a close with bytes unread
 * would be an RST, which can take the last words with it. After LINGER_MS it is closed either way.
 */
function sayAndClose(socket: Socket, text: string): void {
  if (socket.writableEnded) return;
  socket.end(text, 'latin1');
  socket.resume();
  const linger = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.on('close', () => clearTimeout(linger));
}

function listening(server: Server, listen: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const where = listen.family === 'unix' ? { path: listen.path } : { host: listen.host, port: listen.port };
    server.listen({ ...where, backlog: 4_096 }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function boundAddress(server: Server, listen: Address): Address {
  const bound = server.address();
  if (bound === null || typeof bound === 'string') return listen;
  const address = ipAddress(bound.address, bound.port);
  if (address === undefined)
    throw new Error(`listening on ${formatAddress(listen)}, but the address is unknown`);
  return address;
}
