/** A raw SMTP client: says exactly what it is told to, and reads replies. */
import { connect, type Socket } from 'node:net';
import { type Address, formatAddress } from '../../lib/core/address.ts';
import { resetSocket } from '../../lib/transport/net/reset.ts';
import { PATIENCE_MS, within } from './eventually.ts';
import type { Owner } from './owner.ts';
import { createPeer, type Peer, type PeerOptions } from './peer.ts';

/** One reply, of one line or several (RFC 5321 section 4.2.1). */
export interface Reply {
  readonly code: number;
  /** The text of each line, after `250-` or `250 `. */
  readonly lines: readonly string[];
  /** As it came, line ends included. */
  readonly raw: string;
}

export interface SmtpClient extends Peer {
  /** What it speaks over. */
  readonly socket: Socket;
  /** Reads the next reply. Rejects at the deadline or when the connection is closed before its end. */
  reply(deadlineMs?: number): Promise<Reply>;
  /** Reads the next reply and rejects where its code is another, or its raw text does not match. */
  expect(wanted: number | RegExp, deadlineMs?: number): Promise<Reply>;
  /** Writes a line; CRLF is added. */
  send(line: string): Promise<void>;
  /** Writes a line and reads the reply to it. */
  command(line: string, wanted?: number | RegExp): Promise<Reply>;
  /** A whole message in lockstep, after EHLO: MAIL, RCPT, DATA, body, dot; resolves with the reply to the dot. */
  deliver(body?: string): Promise<Reply>;
}

export interface ClientOptions extends PeerOptions {
  /** A local address to connect from, to be another client: 127.0.0.2 and so on. */
  readonly from?: string;
  readonly deadlineMs?: number;
}

const REPLY = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r\n/;

/** Connects; rejects when the connection is refused or the deadline passes. Reset at the end of the test. */
export async function connectClient(
  owner: Owner,
  address: Address,
  options: ClientOptions = {},
): Promise<SmtpClient> {
  const { from, deadlineMs = PATIENCE_MS } = options;
  const to = address.family === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
  const socket = connect({
    ...to,
    allowHalfOpen: true,
    ...(from === undefined ? {} : { localAddress: from }),
  });
  // Who only says that it has no more to say can keep an instance that drains waiting.
  owner.teardown(() => {
    if (address.family === 'unix' || socket.connecting) socket.destroy();
    else resetSocket(socket);
  });
  await within(`a connection to ${formatAddress(address)}`, connected(socket), deadlineMs);
  return smtpOver(socket, options);
}

/** Speaks SMTP over a socket that is connected already. */
export function smtpOver(socket: Socket, options: PeerOptions = {}): SmtpClient {
  const peer = createPeer(socket, 'the client', options);

  async function reply(replyDeadlineMs?: number): Promise<Reply> {
    return parseReply(await peer.until(REPLY, replyDeadlineMs));
  }
  async function expect(wanted: number | RegExp, replyDeadlineMs?: number): Promise<Reply> {
    const got = await reply(replyDeadlineMs);
    const isWanted = typeof wanted === 'number' ? got.code === wanted : wanted.test(got.raw);
    if (!isWanted) throw new Error(`wanted ${wanted}, the reply was ${JSON.stringify(got.raw)}`);
    return got;
  }
  const send = (line: string) => peer.write(`${line}\r\n`);
  async function command(line: string, wanted?: number | RegExp): Promise<Reply> {
    await send(line);
    return wanted === undefined ? reply() : expect(wanted);
  }
  const more = {
    socket,
    reply,
    expect,
    send,
    command,
    async deliver(body = 'Subject: test\r\n\r\nHello.\r\n') {
      await command('MAIL FROM:<from@example.org>', 250);
      await command('RCPT TO:<to@example.com>', 250);
      await command('DATA', 354);
      await peer.write(`${body}.\r\n`);
      return expect(250);
    },
  };
  // Not spread: the peer's properties are read when asked for.
  return Object.assign(peer, more);
}

/** Parses one whole reply. */
export function parseReply(raw: string): Reply {
  const lines = raw.split('\r\n').slice(0, -1);
  return { code: Number(raw.slice(0, 3)), lines: lines.map(line => line.slice(4)), raw };
}

/** A message's body of about this many octets: lines of 72, none of which begins with a dot. */
export function bodyOf(octets: number): string {
  const line = `${'x'.repeat(70)}\r\n`;
  return `Subject: ${octets} octets\r\n\r\n${line.repeat(Math.ceil(octets / line.length))}`;
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve();
    });
  });
}
