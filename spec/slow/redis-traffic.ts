/** Sessions that never stop coming, at several instances, while something happens; and what became of each. */
import { connect } from 'node:net';
import type { IpAddress } from '../../lib/core/address.ts';
import { eventually } from '../support/eventually.ts';
import type { Owner } from '../support/owner.ts';

/** Milliseconds after which a client that hears nothing gives up: as good as a failed session. */
const PATIENCE_MS = 30_000;

/** Where sessions come from and go to. */
export interface Stream {
  readonly pool: string;
  readonly to: IpAddress;
  /** The client's address, asked for each session. */
  readonly from: () => string;
  /** Milliseconds between two sessions, on the average. */
  readonly everyMs: number;
  /** Milliseconds a session stays after it was greeted and has said EHLO. */
  readonly stayMs: number;
}

/** A session that is over. */
export interface Served {
  readonly pool: string;
  readonly client: string;
  /** When its client began to connect, by performance.now(). */
  readonly beganMs: number;
  /** From then to the end of the greeting; infinite where there was none. */
  readonly waitedMs: number;
  /** The first label of the name in the greeting; empty where there was none. */
  readonly backend: string;
  /** What went wrong; null where the session ended as it should. */
  readonly fault: string | null;
}

export interface Traffic {
  /** All so far, in the order of their end. */
  readonly served: readonly Served[];
  /** Resolves when so many sessions more have ended. */
  more(count: number): Promise<void>;
  /** The most sessions that a backend of a pool had at a time, between its greeting and the client's QUIT. */
  most(pool: string, backend: string): number;
  /** No new sessions at all; resolves when the last is over. */
  stop(): Promise<void>;
}

export function startTraffic(owner: Owner, streams: readonly Stream[]): Traffic {
  const served: Served[] = [];
  const open = new Map<string, number>();
  const most = new Map<string, number>();
  const timers = new Map<Stream, NodeJS.Timeout>();
  let underWay = 0;
  let isOver = false;

  /** One more or less; returns its name, for the way back. */
  const change = (place: string, by: 1 | -1): string => {
    const now = (open.get(place) ?? 0) + by;
    open.set(place, now);
    most.set(place, Math.max(now, most.get(place) ?? 0));
    return place;
  };

  const session = (stream: Stream): void => {
    const { pool, stayMs, to } = stream;
    const client = stream.from();
    const beganMs = performance.now();
    const socket = connect({ host: to.host, port: to.port, localAddress: client });
    let waitedMs = Number.POSITIVE_INFINITY;
    let backend = '';
    let place: string | null = null;
    let said = 0;
    let text = '';
    let isDone = false;
    underWay++;
    const done = (fault: string | null): void => {
      if (isDone) return;
      isDone = true;
      underWay--;
      if (place !== null) change(place, -1);
      socket.destroy();
      served.push({ pool, client, beganMs, waitedMs, backend, fault });
    };
    const quit = (): void => {
      if (place !== null) change(place, -1);
      place = null;
      socket.write('QUIT\r\n');
    };
    socket.setTimeout(PATIENCE_MS, () => done('silence'));
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
    socket.on('end', () => done(said === 3 ? null : `closed after ${said} replies`));
    socket.setEncoding('latin1').on('data', chunk => {
      text += chunk;
      if (!/^\d{3} [^\n]*\n$/m.test(text)) return;
      const [, code = '', host = ''] = /^(\d{3})[ -](\w*)/.exec(text) ?? [];
      const wanted = ['220', '250', '221'][said++];
      if (code !== wanted) return done(text.trim());
      text = '';
      if (said === 1) {
        waitedMs = performance.now() - beganMs;
        backend = host;
        place = change(`${pool}/${host}`, 1);
        socket.write('EHLO client.example\r\n');
      } else if (said === 2) setTimeout(quit, stayMs);
    });
  };

  const next = (stream: Stream): void => {
    if (isOver) return;
    session(stream);
    const pauseMs = stream.everyMs * (0.5 + Math.random());
    timers.set(
      stream,
      setTimeout(() => next(stream), pauseMs),
    );
  };
  const end = (): void => {
    isOver = true;
    for (const timer of timers.values()) clearTimeout(timer);
  };
  owner.teardown(end);
  for (const stream of streams) next(stream);

  return {
    served,
    async more(count) {
      const enough = served.length + count;
      await eventually(`${count} more sessions`, () => served.length >= enough, 120_000);
    },
    most: (pool, backend) => most.get(`${pool}/${backend}`) ?? 0,
    async stop() {
      end();
      await eventually('the last session to end', () => underWay === 0, 2 * PATIENCE_MS);
    },
  };
}

/** Milliseconds below which that part of the sessions waited for their greeting; 0.99 is the 99th percentile. */
export function waited(sessions: readonly Served[], part: number): number {
  const sorted = sessions.map(({ waitedMs }) => waitedMs).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}
