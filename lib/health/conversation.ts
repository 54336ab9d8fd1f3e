import type { Socket } from 'node:net';
import { LOGGED_TEXT_OCTETS } from '../core/limits.ts';
import { type ReplyFault, ReplyReader } from '../smtp/reply.ts';

/** What comes of waiting for a reply. */
export type Heard =
  | Reply
  /** The backend's bytes are no reply; nothing after them is read. */
  | { readonly kind: 'nonsense'; readonly fault: ReplyFault; readonly text: string }
  | { readonly kind: 'ended'; readonly how: 'closed' | 'reset'; readonly text: string }
  /** The signal was given before a whole reply was there; `text` is what had come of it. */
  | { readonly kind: 'late'; readonly text: string };

/** A whole reply (RFC 5321 section 4.2). */
export interface Reply {
  readonly kind: 'reply';
  readonly code: number;
  /** The code, and the text of all its lines joined by spaces; as it came, not escaped. */
  readonly text: string;
  /** Mask of the known keywords in lines 2 to n. */
  readonly capabilities: number;
  /** Where it broke another reply off (postscreen: `220-` and then `521`): that one's code; otherwise 0. */
  readonly brokeOff: number;
}

/**
 * Our side of SMTP on a connection that is open. It never throws. Somebody always hears, or the socket is given away or
 * deaf: so no more than a few chunks are held, and of a reply REPLY_OCTETS at most.
 */
export interface Conversation {
  readonly socket: Socket;
  /** Waits for the next reply, until `signal`. One wait at a time. */
  hear(signal: AbortSignal): Promise<Heard>;
  /** Sends a command line; CRLF is added. */
  say(line: string): void;
  /** Whether QUIT was said. */
  readonly leaving: boolean;
  /** Gives the socket away, for TLS; null where the backend has sent more than it was asked for. */
  release(): Socket | null;
  /** Listens no more: what still comes is thrown away, so that nothing unread turns the close into a reset. */
  deafen(): void;
}

const NOTHING = Buffer.alloc(0);

export function createConversation(socket: Socket): Conversation {
  let reader = new ReplyReader();
  /** Not yet looked at. */
  let pending: Buffer = NOTHING;
  /** What came of the reply that is being read; Latin-1, at most REPLY_OCTETS. */
  let text = '';
  let brokeOff = 0;
  let fault: ReplyFault | null = null;
  let ended: 'closed' | 'reset' | null = null;
  let leaving = false;
  let wake = (): void => {};

  const reply = (): Reply => {
    const { code, capabilities } = reader;
    const heard: Reply = { kind: 'reply', code, text: flat(text), capabilities, brokeOff };
    text = '';
    brokeOff = 0;
    return heard;
  };

  /** The line that just turned out to have another code becomes a reply of its own. */
  const beginAgain = (rest: Buffer): Buffer => {
    const line = text.slice(text.lastIndexOf('\n') + 1);
    brokeOff = reader.code;
    text = '';
    reader = new ReplyReader();
    return Buffer.concat([Buffer.from(line, 'latin1'), rest]);
  };

  const read = (): Heard | null => {
    if (fault !== null) return { kind: 'nonsense', fault, text: flat(text) };
    while (pending.length > 0) {
      const at = reader.read(pending, 0);
      text += pending.toString('latin1', 0, at);
      pending = pending.subarray(at);
      const { status } = reader;
      if (status === 'end') return reply();
      if (status === 'more' || status === 'line') continue;
      if (status === 'syntax' && reader.otherCode !== 0) {
        pending = beginAgain(pending);
        continue;
      }
      fault = status;
      // What follows is for the operator's eyes only.
      text += pending.toString('latin1', 0, LOGGED_TEXT_OCTETS);
      return { kind: 'nonsense', fault, text: flat(text) };
    }
    return ended === null ? null : { kind: 'ended', how: ended, text: flat(text) };
  };

  const onData = (chunk: Buffer): void => {
    if (fault !== null) return;
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    wake();
  };
  const end = (how: 'closed' | 'reset'): void => {
    ended ??= how;
    wake();
  };
  const onEnd = (): void => end('closed');
  const onError = (): void => end('reset');
  const onClose = (): void => end('closed');
  socket.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose);

  return {
    socket,
    hear(signal) {
      const { promise, resolve } = later<Heard>();
      const answer = (heard: Heard): void => {
        wake = () => {};
        signal.removeEventListener('abort', onAbort);
        resolve(heard);
      };
      const onAbort = (): void => answer(read() ?? { kind: 'late', text: flat(text) });
      wake = () => {
        const heard = read();
        if (heard !== null) answer(heard);
      };
      signal.addEventListener('abort', onAbort);
      if (signal.aborted) onAbort();
      else wake();
      return promise;
    },
    say(line) {
      if (line === 'QUIT') leaving = true;
      if (socket.writable) socket.write(`${line}\r\n`, 'latin1');
    },
    get leaving() {
      return leaving;
    },
    release() {
      if (pending.length > 0) return null;
      socket.pause();
      socket.off('data', onData).off('end', onEnd).off('close', onClose);
      // Errors stay heard: nobody else may listen to this socket's own.
      return socket;
    },
    deafen() {
      socket.off('data', onData).resume();
      pending = NOTHING;
    },
  };
}

/** A reply in one line: `250 mx.example PIPELINING`. */
function flat(text: string): string {
  return text
    .split('\r\n')
    .map((line, at) => (at === 0 ? line.replace(/^(\d{3})-/, '$1 ') : line.slice(4)))
    .join(' ')
    .trim();
}

/** A promise and what settles it (Promise.withResolvers is younger than Node 20). */
export function later<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>(settle => {
    resolve = settle;
  });
  return { promise, resolve };
}
