/** A backend that does what a script says, mostly wrong things, and remembers what it was told. */
import { createServer } from 'node:net';
import { type IpAddress, ipAddress } from '../../lib/core/address.ts';
import { eventually, within } from './eventually.ts';
import type { Owner } from './owner.ts';
import { createPeer, octetByOctet, type Peer, type PeerOptions } from './peer.ts';

/** One connection to a scripted backend. */
export interface BackendConnection extends Peer {
  /** 0 for the first connection, and so on. */
  readonly index: number;
}

/** What a backend does with a connection. A rejection (say, a close where more was awaited) ends the script only. */
export type Script = (connection: BackendConnection) => void | Promise<void>;

export interface ScriptedBackend {
  readonly address: IpAddress;
  /** Every connection so far, in the order of accept. */
  readonly connections: readonly BackendConnection[];
  /** Waits for the connection with this index (default 0). */
  connection(index?: number, deadlineMs?: number): Promise<BackendConnection>;
  /** Why scripts ended early, in order: to look at when a test fails. */
  readonly faults: readonly Error[];
  /** Resolves when all connections are closed on both sides. */
  idle(deadlineMs?: number): Promise<void>;
  /** Closes the listener and resets what is connected; also at the end of the test. */
  stop(): Promise<void>;
}

export interface BackendOptions extends PeerOptions {
  /** The address to listen on; default 127.0.0.1 with a port that is free. */
  readonly host?: string;
  readonly port?: number;
}

/** Starts a backend that plays `script`, or the script at the connection's index (the last one for all after it). */
export async function startScriptedBackend(
  owner: Owner,
  script: Script | readonly [Script, ...Script[]],
  options: BackendOptions = {},
): Promise<ScriptedBackend> {
  const { host = '127.0.0.1', port = 0 } = options;
  const scripts: readonly Script[] = typeof script === 'function' ? [script] : script;
  const connections: BackendConnection[] = [];
  const faults: Error[] = [];
  let open = 0;

  const server = createServer({ allowHalfOpen: true }, socket => {
    const index = connections.length;
    open++;
    socket.on('close', () => open--);
    const connection = Object.assign(createPeer(socket, `backend connection ${index}`, options), { index });
    connections.push(connection);
    const play = scripts[Math.min(index, scripts.length - 1)];
    Promise.resolve(connection)
      .then(play)
      .catch(error => faults.push(error));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, resolve);
  });
  const bound = server.address();
  const address =
    typeof bound === 'object' && bound !== null ? ipAddress(bound.address, bound.port) : undefined;
  if (address === undefined) throw new Error('a scripted backend without an address');

  let stopped: Promise<void> | undefined;
  const backend: ScriptedBackend = {
    address,
    connections,
    faults,
    connection: (index = 0, deadlineMs = undefined) =>
      eventually(`backend connection ${index}`, () => connections[index], deadlineMs),
    idle: deadlineMs => eventually('an idle backend', () => open === 0, deadlineMs).then(() => {}),
    stop() {
      stopped ??= within(
        'the scripted backend to stop',
        new Promise(resolve => {
          server.close(() => resolve());
          for (const connection of connections) connection.reset();
        }),
      );
      return stopped;
    },
  };
  owner.teardown(() => backend.stop());
  return backend;
}

/** Accepts and closes at once. */
export const closeAtOnce: Script = connection => connection.destroy();

/** Accepts and resets at once; who connects may see that as a connect that fails with ECONNRESET. */
export const resetAtOnce: Script = connection => connection.reset();

/** Accepts and never says a word. */
export const silent: Script = () => {};

/** Sends these bytes, each piece in its own segment, then waits for ever. */
export function greet(...pieces: readonly (string | Uint8Array)[]): Script {
  return connection => connection.writePieces(pieces);
}

/** Sends these bytes and dies: `close` with FIN, `reset` with RST. */
export function dieAfter(bytes: string | Uint8Array, how: 'close' | 'reset' = 'close'): Script {
  return async connection => {
    await connection.write(bytes);
    die(connection, how);
  };
}

/** Says it byte by byte, as the slowest of links would. */
export function dribble(bytes: string): Script {
  return connection => connection.writePieces(octetByOctet(bytes));
}

/** Greets, and sends back everything it is told until the far end closes, then closes. */
export function echo(greeting = '220 echo.example ESMTP\r\n'): Script {
  return async connection => {
    await connection.write(greeting);
    for (;;) {
      const text = await connection.until(/[\s\S]+/).catch(() => undefined);
      if (text === undefined) break;
      await connection.write(text);
    }
    connection.end();
  };
}

/** Where a backend that is otherwise well behaved goes wrong. */
export interface Misdeed {
  /** `ehlo`, `mail`, `data`: dies on hearing that command, unanswered. `body`: dies after the first octets of a message. */
  readonly dieAt?: 'ehlo' | 'mail' | 'data' | 'body';
  /** Default `close`. */
  readonly how?: 'close' | 'reset';
  /** Stops reading for good once DATA is answered. */
  readonly stopReadingAt?: 'body';
  readonly hostName?: string;
  /** EHLO capabilities; default PIPELINING and 8BITMIME. */
  readonly capabilities?: readonly string[];
  readonly greeting?: string;
}

/** Speaks SMTP as it should (DATA, no BDAT) for any number of messages, up to its misdeed. */
export function smtp(misdeed: Misdeed = {}): Script {
  const { dieAt, how = 'close', hostName = 'backend.example' } = misdeed;
  const capabilities = misdeed.capabilities ?? ['PIPELINING', '8BITMIME'];
  const hello = [hostName, ...capabilities]
    .map((line, at) => `250${at === capabilities.length ? ' ' : '-'}${line}\r\n`)
    .join('');

  return async connection => {
    await connection.write(misdeed.greeting ?? `220 ${hostName} ESMTP\r\n`);
    for (;;) {
      const line = await connection.until('\r\n', 600_000);
      const verb = line.slice(0, 4).toLowerCase();
      if (dieAt === (verb === 'helo' ? 'ehlo' : verb)) return die(connection, how);
      if (verb === 'data') {
        await connection.write('354 go on\r\n');
        if (misdeed.stopReadingAt === 'body') return connection.pause();
        if (dieAt === 'body') {
          await connection.until(/[\s\S]/, 600_000);
          return die(connection, how);
        }
        await connection.until(/(?:^|\r\n)\.\r\n/, 600_000);
        await connection.write('250 2.0.0 taken\r\n');
      } else if (verb === 'quit') {
        await connection.write(`221 2.0.0 ${hostName}\r\n`);
        return connection.end();
      } else {
        await connection.write(verb === 'ehlo' || verb === 'lhlo' ? hello : '250 2.0.0 ok\r\n');
      }
    }
  };
}

function die(connection: BackendConnection, how: 'close' | 'reset'): void {
  if (how === 'reset') connection.reset();
  else connection.destroy();
}
