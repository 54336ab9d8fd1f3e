/** The two peers of a simulated session: what they do next is drawn from the run's seed. */
import type { CloseReason } from '../../lib/transport/contract.ts';
import type { Random } from '../smtp/random.ts';
import type { FakeSocket } from './fake-transport.ts';

/** One end of a connection as its owner plays it. Each returns whether anything happened. */
export interface Peer {
  readonly socket: FakeSocket;
  /** All that it has sent, in order. */
  readonly sent: Uint8Array[];
  act(): boolean;
}

const LINES = [
  'EHLO client.example.net\r\n',
  'HELO there\r\n',
  'STARTTLS\r\n',
  'MAIL FROM:<a@example.net>\r\n',
  'DATA\r\n',
  'QUIT\r\n',
  'EHLO a\r\nSTARTTLS\r\n',
];

/** Read by the observer for as long as a client likes to send it. */
const LONG_HELLO = `EHLO ${'a'.repeat(200)}\r\n`;
/** Not to reach any mail server. */
export const FOREIGN = 'GET / HTTP/1.0\r\n';

/** What a backend may say at any time. */
export const UNASKED = 'unasked ';

/** A client: talkative or patient, orderly or not. `header` is a PROXY header that goes first. */
export function createClient(socket: FakeSocket, random: Random, header: Uint8Array | null): Peer {
  const sent: Uint8Array[] = [];
  const chatty = random.below(6) === 0;
  const early = random.below(5) === 0;
  const flood = random.below(8) === 0;
  const leaves = random.pick([2, 10, 50]);
  let numbered = random.below(1_000);
  let rest = header ?? new Uint8Array(0);

  const say = (): boolean => {
    if (rest.length === 0) {
      const long = `${numbered++} `.repeat(flood ? 400 : 80);
      const line = random.below(flood ? 2 : 12) > 0 ? random.pick(LINES) : long;
      const first = sent.length === 0 && random.below(40) === 0;
      rest = Buffer.from(first ? FOREIGN : chatty ? LONG_HELLO : line);
    }
    const length = random.below(3) > 0 ? rest.length : 1 + random.below(rest.length);
    const bytes = rest.subarray(0, length);
    if (!socket.peerSends(bytes)) return false;
    rest = rest.subarray(length);
    sent.push(bytes);
    return true;
  };

  return {
    socket,
    sent,
    act() {
      const kind = random.below(100);
      if (kind < 30) return socket.peerReads();
      if (kind < 32) return random.below(leaves) === 0 && socket.peerEnds();
      if (kind < 33) return random.below(leaves) === 0 && socket.peerCloses('reset');
      const speaks = early || flood || header !== null || socket.read.length > 0;
      return speaks && say();
    },
  };
}

/** What a backend is like: a fault before its greeting, or how it greets. */
export const TEMPERS = [
  'serves',
  'serves',
  'serves',
  'serves',
  'serves',
  'serves',
  'serves',
  'serves',
  'pauses',
  'is deaf',
  'busy',
  'refuses',
  'vanishes',
  'is silent',
  'closes early',
  'resets early',
  'talks nonsense',
  'ends its greeting badly',
  'shuts down',
] as const;

export type Temper = (typeof TEMPERS)[number];

const REFUSALS: readonly CloseReason[] = [
  'refused',
  'unreachable',
  'timed-out',
  'no-ports',
  'failed',
  'reset',
];

const GREETINGS: Readonly<Partial<Record<Temper, string>>> = {
  serves: '220 mx.example.net ESMTP\r\n',
  'is deaf': '220 mx.example.net ESMTP\r\n',
  pauses: '220-mx.example.net\r\n220 ESMTP\r\n',
  busy: '421 4.3.2 too busy\r\n',
  'closes early': '22',
  'resets early': '220-m',
  'talks nonsense': 'SSH-2.0-nothing\r\n',
  'ends its greeting badly': '220-mx.example.net\r\n\0\r\n',
  'shuts down': '220 mx.example.net ESMTP\r\n421 4.3.2 shutting down\r\n',
};

/** A backend as one session meets it. */
export interface BackendPeer extends Peer {
  readonly temper: Temper;
}

export function createBackend(socket: FakeSocket, random: Random, temper: Temper): BackendPeer {
  const sent: Uint8Array[] = [];
  let connected = false;
  let rest: Uint8Array = Buffer.from(GREETINGS[temper] ?? '');
  let answered = 0;

  const say = (): boolean => {
    const length = random.below(3) > 0 ? rest.length : 1 + random.below(rest.length);
    const bytes = rest.subarray(0, length);
    if (!socket.peerSends(bytes)) return false;
    rest = rest.subarray(length);
    sent.push(bytes);
    return true;
  };

  const answer = (): boolean => {
    if (socket.read.length <= answered) return false;
    const heard = Buffer.from(socket.read[answered++] ?? '').toString('latin1');
    if (heard.startsWith('PROXY ') || heard.startsWith('\r\n\r\n\0')) return false;
    const reply = random.pick([
      '250-mx\r\n250-STARTTLS\r\n250 SIZE\r\n',
      '220 go on\r\n',
      '250 ok\r\n',
      '502 no\r\n',
    ]);
    rest = Buffer.from(heard.startsWith('EHLO') ? '250-mx\r\n250 STARTTLS\r\n' : reply);
    return say();
  };

  const begin = (): boolean => {
    if (temper === 'vanishes') return false;
    connected = true;
    return temper === 'refuses' ? socket.peerCloses(random.pick(REFUSALS)) : socket.peerConnects();
  };

  return {
    socket,
    sent,
    temper,
    act() {
      if (!connected) return begin();
      const kind = random.below(100);
      if (kind < 30) return temper !== 'is deaf' && socket.peerReads();
      if (rest.length > 0) return say();
      if (temper === 'closes early' || temper === 'shuts down') return socket.peerEnds();
      if (temper === 'resets early') return socket.peerCloses('reset');
      if (kind < 32) return socket.peerEnds();
      if (kind < 33) return random.below(4) === 0 && socket.peerCloses('reset');
      if (kind < 45 && sent.length > 1) rest = Buffer.from(`${UNASKED.repeat(1 + random.below(40))}\r\n`);
      return rest.length > 0 ? say() : temper !== 'is silent' && answer();
    },
  };
}
