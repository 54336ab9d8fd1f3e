import { createConnection, type Socket } from 'node:net';
import type { IpAddress } from '../lib/core/address.ts';

/** A peer that says nothing for this long is taken for dead. */
const SILENCE_MS = 15_000;

/** One SMTP connection, as a client that trusts its peer sees it: no pipelining, no TLS. */
export interface SmtpClient {
  /** Waits for the greeting. Rejects unless it begins with 220. */
  greeting(): Promise<void>;
  /** Sends what is given and waits for the whole reply. Rejects unless that has the expected code. */
  ask(bytes: string | Uint8Array, code: number): Promise<void>;
  /** Says QUIT; resolves when the connection is closed. */
  quit(): Promise<void>;
  /** Resolves when the connection is gone, whoever ended it. */
  readonly closed: Promise<void>;
  /** Sends what is given, or as much as the peer takes; nothing is waited for. */
  send(bytes: Uint8Array): void;
  /** Octets that have been given and that the kernel has not taken yet. */
  unsent(): number;
  /** Closes without a word. */
  destroy(): void;
  /** Closes with a reset, which leaves nothing behind: thousands closed in order would hold their ports a minute. */
  reset(): void;
}

/** The last line of a reply: code, then a space or nothing more (RFC 5321 section 4.2). */
const LAST_LINE = /(?:^|\n)(\d{3})(?: [^\n]*)?\r\n$/;

/** Connects at once; a failure to connect rejects whatever is waited for first. */
export function openClient(address: IpAddress): SmtpClient {
  const socket: Socket = createConnection({ host: address.host, port: address.port, noDelay: true });
  let waiting: { code: number; resolve: () => void; reject: (error: Error) => void } | undefined;
  let received = '';
  let fault: Error | undefined;

  socket.setEncoding('latin1');
  socket.on('timeout', () => socket.destroy(new Error(`silent for ${SILENCE_MS} ms`)));
  socket.setTimeout(SILENCE_MS);
  socket.on('error', error => {
    fault = error;
  });
  const closed = new Promise<void>(resolve => {
    socket.once('close', () => {
      fault ??= new Error('the connection was closed');
      waiting?.reject(fault);
      resolve();
    });
  });
  socket.on('data', (text: string) => {
    received += text;
    settle();
  });

  function settle(): void {
    const reply = waiting === undefined ? null : LAST_LINE.exec(received);
    if (waiting === undefined || reply === null) return;
    const { code, resolve, reject } = waiting;
    waiting = undefined;
    // Nobody waits: from now on silence is what was asked for.
    socket.setTimeout(0);
    const text = received;
    received = '';
    if (Number(reply[1]) === code) resolve();
    else reject(new Error(`expected ${code}, got ${text.trimEnd()}`));
  }

  function expect(code: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (fault !== undefined) return reject(fault);
      waiting = { code, resolve, reject };
      socket.setTimeout(SILENCE_MS);
      settle();
    });
  }

  function ask(bytes: string | Uint8Array, code: number): Promise<void> {
    socket.write(bytes);
    return expect(code);
  }

  async function quit(): Promise<void> {
    await ask('QUIT\r\n', 221);
    socket.end();
    await closed;
  }
  return {
    greeting: () => expect(220),
    ask,
    quit,
    closed,
    send: bytes => void socket.write(bytes),
    unsent: () => socket.writableLength,
    destroy: () => socket.destroy(),
    reset: () => void socket.resetAndDestroy(),
  };
}
