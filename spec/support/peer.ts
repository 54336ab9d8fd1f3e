/** One end of a TCP connection in a test's hand: sees every byte, says every byte, knows how it was closed. */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { resetSocket } from '../../lib/transport/net/reset.ts';
import { PATIENCE_MS, within } from './eventually.ts';

/**
 * How the far end closed: `fin` an orderly end (it may still read), `rst` a reset, `open` not yet.
 * `self`: this end reset or destroyed the connection before the far end did anything.
 */
export type Closing = 'open' | 'fin' | 'rst' | 'self';

/** What a peer is told at its start. */
export interface PeerOptions {
  /**
   * `all` keeps every octet received; `digest` keeps a count and a SHA-256 only, for what does not fit
   * memory: then `received` is empty and `until` sees nothing. Default `all`.
   */
  readonly record?: 'all' | 'digest';
}

export interface Peer {
  /** All octets received so far, also those `until` has consumed. */
  readonly received: Buffer;
  /** Their number. */
  readonly octets: number;
  /** SHA-256 of the octets so far, in hex. */
  digest(): string;
  /** How the far end has closed so far. A paused peer sees no close. */
  readonly closing: Closing;
  /** Resolves when the far end closes its side, with the way it did. Never rejects; has no deadline. */
  readonly closed: Promise<Exclude<Closing, 'open'>>;
  /** Waits for the close, and rejects where it is another one or the deadline passes. */
  expectClosed(how: Exclude<Closing, 'open'>, deadlineMs?: number): Promise<void>;
  /**
   * Waits until the octets not yet consumed (as Latin-1) match, consumes them to the match's end and returns
   * what was consumed. Rejects at the deadline, or when the far end closes first.
   */
  until(pattern: RegExp | string, deadlineMs?: number): Promise<string>;
  /** Octets received and not yet consumed by `until`, as Latin-1. */
  pending(): string;
  /** Writes text (Latin-1) or bytes; resolves when the kernel has taken them, or will not any more. */
  write(data: string | Uint8Array): Promise<void>;
  /** Writes each piece in a segment of its own, with `between` awaited after each but the last. */
  writePieces(pieces: Iterable<string | Uint8Array>, between?: () => unknown): Promise<void>;
  /** Stops and starts reading: a slow reader. */
  pause(): void;
  resume(): void;
  /** Closes this side (FIN) and reads on. */
  end(): void;
  /** Closes both sides at once; the kernel sends FIN, or RST where something was left unread. */
  destroy(): void;
  /** RST. */
  reset(): void;
  /** Local and remote port, to tell connections apart in logs. */
  readonly ports: { readonly local: number; readonly remote: number };
}

/** Takes a connected socket over. The socket must have been made with `allowHalfOpen: true`. */
export function createPeer(socket: Socket, name: string, options: PeerOptions = {}): Peer {
  const record = options.record ?? 'all';
  const chunks: Buffer[] = [];
  const hash = createHash('sha256');
  const waiting = new Set<() => void>();
  const ports = { local: socket.localPort ?? 0, remote: socket.remotePort ?? 0 };
  let octets = 0;
  let pending = '';
  let closing: Closing = 'open';
  let resolveClosed: (how: Exclude<Closing, 'open'>) => void = () => {};
  const closed = new Promise<Exclude<Closing, 'open'>>(resolve => {
    resolveClosed = resolve;
  });

  function close(how: Exclude<Closing, 'open'>): void {
    // A reset may follow an orderly end; the first word stays in `closed`, the last in `closing`.
    if (closing === 'open' || (closing === 'fin' && how === 'rst')) closing = how;
    resolveClosed(how);
    for (const look of waiting) look();
  }

  socket.setNoDelay(true);
  socket.on('data', chunk => {
    octets += chunk.length;
    hash.update(chunk);
    if (record === 'digest') return;
    chunks.push(chunk);
    pending += chunk.toString('latin1');
    for (const look of waiting) look();
  });
  socket.on('end', () => close('fin'));
  socket.on('error', error => {
    if ('code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')) close('rst');
  });
  socket.on('close', () => {
    if (closing === 'open') close('self');
  });

  const shown = () => `; not consumed: ${JSON.stringify(pending.slice(-500))}, ${closing}`;

  const peer: Peer = {
    get received() {
      return Buffer.concat(chunks);
    },
    get octets() {
      return octets;
    },
    get closing() {
      return closing;
    },
    digest: () => hash.copy().digest('hex'),
    closed,
    ports,
    pending: () => pending,
    async expectClosed(how, deadlineMs = PATIENCE_MS) {
      const actual = await within(`${name} to see ${how}`, closed, deadlineMs, shown);
      if (actual !== how) throw new Error(`${name} saw ${actual} instead of ${how}${shown()}`);
    },
    until(pattern, deadlineMs = PATIENCE_MS) {
      let look = () => {};
      const found = new Promise<string>((resolve, reject) => {
        look = () => {
          const end = endOfMatch(pending, pattern);
          if (end !== undefined) {
            waiting.delete(look);
            const taken = pending.slice(0, end);
            pending = pending.slice(end);
            resolve(taken);
          } else if (closing !== 'open') {
            waiting.delete(look);
            reject(new Error(`${name} was closed before ${pattern}${shown()}`));
          }
        };
        waiting.add(look);
        look();
      });
      return within(`${name} to receive ${pattern}`, found, deadlineMs, shown).finally(() =>
        waiting.delete(look),
      );
    },
    write(data) {
      return new Promise(resolve => {
        if (socket.destroyed || socket.writableEnded) resolve();
        else socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data, () => resolve());
      });
    },
    async writePieces(pieces, between = nextTurn) {
      let isFirst = true;
      for (const piece of pieces) {
        if (!isFirst) await between();
        isFirst = false;
        await peer.write(piece);
      }
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
    reset: () => resetSocket(socket),
  };
  return peer;
}

function endOfMatch(text: string, pattern: RegExp | string): number | undefined {
  if (typeof pattern === 'string') {
    const at = text.indexOf(pattern);
    return at < 0 ? undefined : at + pattern.length;
  }
  const match = pattern.exec(text);
  return match === null ? undefined : match.index + match[0].length;
}

function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}

/** Every octet a piece of its own. */
export function octetByOctet(data: string | Uint8Array): Uint8Array[] {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
  return Array.from(bytes, octet => Uint8Array.of(octet));
}

/** The data in two pieces, cut before the octet at `offset`. */
export function cutAt(data: string | Uint8Array, offset: number): [Uint8Array, Uint8Array] {
  const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
  return [bytes.subarray(0, offset), bytes.subarray(offset)];
}
