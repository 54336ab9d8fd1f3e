/** What must hold of a simulated world after every step, of each session that is over, and of a world at rest. */
import { EARLY_CLIENT_OCTETS, LINGER_MS, RESERVED_DESCRIPTORS } from '../../lib/core/limits.ts';
import { terminationColumn } from '../../lib/core/shard-stats.ts';
import { CAUSE_NAMES, PHASE_NAMES } from '../../lib/core/termination.ts';
import { TICK_MS } from '../../lib/core/timer-wheel.ts';
import type { SessionRecord } from '../../lib/session/record.ts';
import { type FakeSocket, WINDOW } from './fake-transport.ts';
import { FOREIGN, type Peer, type Temper, UNASKED } from './peers.ts';
import { type Entry, HOST_NAME, LONGEST_JUMP_MS, TIMEOUTS, type World } from './world.ts';

/** The longest piece that a peer sends. */
const LONGEST_PIECE = 2_000;
/** What a socket may hold beside what a client said early: its window, and a piece or two on top. */
const MOST_PENDING = WINDOW + 3 * LONGEST_PIECE;
const SLACK_MS = 2 * LONGEST_JUMP_MS + TICK_MS;

/** Idleness is looked for eight times, an eighth may pass before the first, and each look may be a jump late. */
const IDLE_BOUND_MS = TIMEOUTS.idleMs * 1.125 + 9 * (LONGEST_JUMP_MS + TICK_MS);

const REFUSAL = new RegExp(`^(?:421|554) [45]\\.\\d\\.\\d ${HOST_NAME} [^\\r\\n]*\\r\\n$`);
const UNSERVED = ['accepting', 'selecting', 'connecting'];
/** Sessions that end so without having been served hear no refusal: there is nobody to hear it, or nothing to say. */
const UNTOLD = ['client-closed', 'client-reset', 'proxy-header', 'internal'];

const NONSENSE: readonly Temper[] = ['talks nonsense', 'ends its greeting badly'];

const text = (pieces: readonly Uint8Array[]): string => Buffer.concat(pieces).toString('latin1');
const total = (counts: Int32Array): number => counts.reduce((sum, count) => sum + count, 0);

/** Everything that does not hold, as sentences. */
export function violations(world: World): string[] {
  const { nowMs } = world;
  const found = world.complaints.splice(0);
  const slots = new Map<string, number>();
  let selecting = 0;
  let timers = 0;
  for (const entry of world.open) {
    const { backend, phase } = entry.session.view();
    if (backend !== null) slots.set(backend, (slots.get(backend) ?? 0) + 1);
    if (phase === 'selecting') selecting++;
    timers += phase === 'selecting' || phase === 'connecting' ? 2 : 1;
    found.push(...ofOpenSession(entry, phase, nowMs));
  }
  const { board, pool, wheel } = world;
  const taken = total(board.backendSlots);
  const held = [...slots.values()].reduce((sum, count) => sum + count, 0);
  if (taken !== held) found.push(`${taken} slots are taken, ${held} sessions hold one`);
  for (const { name, row } of pool.backends) {
    if ((slots.get(name) ?? 0) !== board.backendSlots[row])
      found.push(`the slots of ${name} are not its sessions`);
  }
  for (const { maxConnections, name, row } of pool.backends) {
    const [warm, ready] = [board.backendWarm[row] ?? 0, board.backendWarmReady[row] ?? 0];
    const most = Math.min(pool.warm?.size ?? 0, Math.max(0, maxConnections));
    if (ready > warm || warm > most)
      found.push(`${warm} connections to ${name} are warm, ${ready} of them ready`);
  }
  for (const { socket } of world.warm.keys()) {
    if (text(socket.wrote) !== '' && text(socket.wrote) !== 'QUIT\r\n')
      found.push('a backend that waits heard a client');
  }
  // Who selects waits in the queue, or for what is remembered of its client.
  if (board.poolQueued[pool.row] !== world.waiting || world.waiting > selecting)
    found.push(`${board.poolQueued[0]} are counted in the queue, not ${world.waiting} of ${selecting}`);
  // Of those that are being opened, that wait, and that say their last word.
  timers += [...world.warm.keys()].filter(({ socket }) => !socket.over).length;
  if (wheel.size > timers) found.push(`${wheel.size} timers, and not ${timers}`);
  if (world.errors.length > world.injected) found.push(`it threw: ${(world.errors.at(-1) as Error).stack}`);
  for (const entry of world.closed.splice(0)) found.push(...ofClosedSession(entry, world, nowMs));
  return found;
}

function ofOpenSession(entry: Entry, phase: string, nowMs: number): string[] {
  const { backends, client } = entry;
  const backend = backends.at(-1)?.socket;
  const moved = client.socket.written + backends.reduce((sum, { socket }) => sum + socket.written, 0);
  if (moved !== entry.moved || phase !== entry.phase)
    Object.assign(entry, { moved, phase, movedAtMs: nowMs });
  const unserved = UNSERVED.includes(phase);
  if (unserved) entry.earlyOctets = client.socket.handedUp - entry.headerOctets;
  const boundMs = TIMEOUTS.handshakeMs + LINGER_MS + SLACK_MS;
  const rules: readonly (readonly [boolean, string])[] = [
    [unserved && client.socket.written > 0, `a client heard something while ${phase}`],
    [entry.earlyOctets > EARLY_CLIENT_OCTETS + LONGEST_PIECE, 'too much is held of an early client'],
    [phase === 'closing' && backends.some(isOpen), 'a closing session keeps a backend'],
    [backends.slice(0, -1).some(isOpen), 'a session keeps a backend that it has left'],
    [client.socket.pendingOctets > MOST_PENDING, 'too much is held for a client'],
    [(backend?.pendingOctets ?? 0) > MOST_PENDING + entry.earlyOctets, 'too much is held for a backend'],
    [phase !== 'relaying' && nowMs - entry.startedAtMs > boundMs, `a session is ${phase} for too long`],
    [phase === 'relaying' && nowMs - entry.movedAtMs > IDLE_BOUND_MS, 'an idle session lives'],
  ];
  const broken = rules.filter(([is]) => is).map(([, what]) => what);
  if (backend === undefined || (phase !== 'handshaking' && phase !== 'relaying')) return broken;
  return [...broken, ...ofDirection(client.socket, backend), ...ofDirection(backend, client.socket)];
}

/** Between two sides that are served, what one says must be able to reach the other. */
function ofDirection(from: FakeSocket, to: FakeSocket): string[] {
  const found: string[] = [];
  if (from.paused && to.writable && !to.over) found.push('a side is not read though the other has room');
  if (!from.paused && !to.writable && !from.over && !from.peerEnded)
    found.push('a side is read though the other has no room');
  if (from.peerEnded && !to.ended && !to.over) found.push('a half-close is not passed on');
  return found;
}

function isOpen({ socket }: Peer): boolean {
  return !socket.over;
}

function ofClosedSession(entry: Entry, world: World, nowMs: number): string[] {
  const found: string[] = [];
  const { id } = entry.session.view();
  const [record, ...more] = world.records.get(id) ?? [];
  world.records.delete(id);
  if (entry.closed !== 1) found.push(`a session closed ${entry.closed} times`);
  if (record === undefined || more.length > 0) return [...found, `${more.length} records too many or none`];
  for (const { socket } of [entry.client, ...entry.backends]) {
    if (!socket.over) found.push('a session left a connection behind');
  }
  if (record.cause === 'idle-timeout' && nowMs - entry.movedAtMs < TIMEOUTS.idleMs * 0.75) {
    found.push(`idle-timeout ${nowMs - entry.movedAtMs} ms after a byte`);
  }
  if (
    record.cause === 'internal' &&
    world.injected === 0 &&
    !record.retries.some(({ fault }) => fault === 'failed')
  ) {
    found.push('internal without a fault of the program');
  }
  // Not each backend was tried in vain: from some the operator has sent it on.
  const blamed = record.retries.filter(({ fault }) => fault === 'bad-greeting').length;
  if (blamed > entry.backends.filter(({ temper }) => NONSENSE.includes(temper)).length)
    found.push('a backend that greets well is blamed for its greeting');
  found.push(...ofBytes(entry, record));
  return found.map(what => `${what} [${id} ${record.termination} ${record.cause}/${record.phase}]`);
}

/** Who heard what: in order, unchanged, nothing before its time, and as the record says. */
function ofBytes({ backends, client, headerOctets }: Entry, record: SessionRecord): string[] {
  const found: string[] = [];
  const served = record.phase === 'handshaking' || record.phase === 'relaying';
  const backend = served ? backends.at(-1) : undefined;
  const said = text(client.sent).slice(headerOctets);
  const heard = text(client.socket.read);
  for (const other of backends) {
    if (other !== backend && withoutHeader(other) !== '')
      found.push('a backend that was left heard the client');
  }
  if (backend === undefined) {
    if (heard !== '' && !REFUSAL.test(heard)) found.push(`a client that was not served heard ${heard}`);
    if (heard === '' && !client.socket.cut && !UNTOLD.includes(record.cause))
      found.push('silence instead of a refusal');
    if (record.bytesFromClient + record.bytesFromBackend > 0)
      found.push('bytes are recorded that never moved');
    return found;
  }
  const answer = text(backend.sent);
  const own = ownWords(heard, answer);
  const toBackend = withoutHeader(backend);
  const toClient = heard.slice(0, heard.length - own.length);
  // Nobody reads along any more once a backend has spoken out of turn, or ended.
  const { socket, temper } = backend;
  const orderly = !answer.includes(UNASKED) && temper !== 'shuts down' && !socket.farEnded;
  if (orderly && toBackend.startsWith(FOREIGN.slice(0, 4))) found.push('a backend heard another protocol');
  if (!said.startsWith(toBackend)) found.push('a backend heard other than the client said');
  if (!answer.startsWith(toClient)) found.push('a client heard other than the backend said');
  if (record.cause === 'normal' && !client.socket.cut && !backend.socket.cut) {
    if (toBackend !== said) found.push('bytes of the client are lost');
    if (toClient !== answer) found.push('bytes of the backend are lost');
  }
  const passedOn = backend.socket.written - header(backend).length;
  if (record.bytesFromClient !== passedOn)
    found.push(`${record.bytesFromClient} bytes are recorded, ${passedOn} passed on`);
  if (!client.socket.cut && record.bytesFromBackend !== toClient.length) {
    found.push(`${record.bytesFromBackend} bytes are recorded, ${toClient.length} arrived`);
  }
  return found;
}

/** The PROXY header that a backend was sent, if any. */
function header({ socket }: Peer): string {
  const heard = text(socket.wrote);
  if (heard.startsWith('PROXY ')) return heard.slice(0, heard.indexOf('\n') + 1);
  if (!heard.startsWith('\r\n\r\n\0')) return '';
  return heard.slice(0, 16 + heard.charCodeAt(14) * 256 + heard.charCodeAt(15));
}

function withoutHeader(backend: Peer): string {
  return text(backend.socket.read).slice(header(backend).length);
}

/** A refusal behind a backend's words. */
function ownWords(heard: string, answer: string): string {
  if (answer.startsWith(heard)) return '';
  const last = heard.slice(heard.lastIndexOf('\n', heard.length - 2) + 1);
  return REFUSAL.test(last) ? last : '';
}

/** What is left in a world that nobody is in any more. */
export function leftovers({ clients, board, accepted, descriptors, open, stats, wheel }: World): string[] {
  const ended = CAUSE_NAMES.flatMap(cause =>
    PHASE_NAMES.map(phase => stats.listeners.get(0, terminationColumn(cause, phase))),
  ).reduce((sum, count) => sum + count, 0);
  let farewells = 0;
  for (let count = 0; count < RESERVED_DESCRIPTORS / 2; count++) descriptors.linger(() => farewells++);
  const counts: readonly (readonly [string, number])[] = [
    ['descriptors of the reserve', farewells],
    ['sessions', open.size],
    ['slots', total(board.backendSlots)],
    ['places in the queue', total(board.poolQueued)],
    ['sessions of the listener', total(board.listenerSessions)],
    ['descriptors', total(board.descriptors)],
    ['warm connections', total(board.backendWarm) + total(board.backendWarmReady)],
    ['timers', wheel.size],
    ['sessions of clients', total(clients.held)],
    ['sessions accepted and not counted as ended', accepted - ended],
  ];
  return counts.filter(([, count]) => count !== 0).map(([what, count]) => `${count} ${what} are left`);
}
