import { endianness } from 'node:os';
import t from 'tap';
import { type Address, parseAddress } from '../../../lib/core/address.ts';
import { ARENA, EPOLL, EVENT_LAYOUTS, libraryNames } from '../../../lib/transport/linux/layout.ts';
import { bindLibc } from '../../../lib/transport/linux/libc.ts';
import { decodeAddress, encodeAddress } from '../../../lib/transport/linux/sockaddr.ts';

const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString('hex');
const parsed = (text: string) => parseAddress(text) as Address;

/** A library that only remembers: what it is given, and where in the arena. */
function recordingLibrary(arch: 'x64' | 'arm64') {
  const calls: { name: string; args: readonly unknown[] }[] = [];
  let arena = Buffer.alloc(0);
  const returns = new Map<string, number>();
  const library = {
    func:
      (name: string) =>
      (...args: readonly unknown[]) => {
        calls.push({ name, args });
        return returns.get(name) ?? 0;
      },
  };
  const libc = bindLibc({
    library: library as unknown as Parameters<typeof bindLibc>[0]['library'],
    addressOf(bytes) {
      arena = bytes as Buffer<ArrayBuffer>;
      return 0x10000n;
    },
    errno: () => 11,
    layout: EVENT_LAYOUTS[arch] as { stride: number; data: number },
  });
  return { libc, calls, returns, arena: () => arena };
}

t.test('an event is 12 octets on x86-64, where it is packed, and 16 on arm64', t => {
  t.equal(endianness(), 'LE');
  for (const [arch, octets, data] of [
    ['x64', 12, 4],
    ['arm64', 16, 8],
  ] as const) {
    const { libc, arena } = recordingLibrary(arch);
    libc.watch(3, 77, EPOLL.IN | EPOLL.EDGE, -5);
    const event = arena().subarray(ARENA.CONTROL);
    t.equal(event.readUInt32LE(0), 0x80000001, `${arch}: events first`);
    t.equal(event.readInt32LE(data), 77, `${arch}: then, at ${data}, what is ours`);
    t.equal(event.readInt32LE(data + 4), -5);
    for (let at = 0; at < ARENA.MAX_EVENTS; at++) {
      const place = ARENA.EVENTS + at * octets;
      arena().writeUInt32LE(EPOLL.OUT, place);
      arena().writeInt32LE(1_000 + at, place + data);
      arena().writeInt32LE(-at, place + data + 4);
    }
    t.strictSame(
      [0, 1, ARENA.MAX_EVENTS - 1].map(at => [
        libc.eventsAt(at),
        libc.descriptorAt(at),
        libc.generationAt(at),
      ]),
      [
        [EPOLL.OUT, 1_000, -0],
        [EPOLL.OUT, 1_001, -1],
        [EPOLL.OUT, 1_255, -255],
      ].map(row => row.map(value => value + 0)),
      `${arch}: what the kernel hands out is found`,
    );
    t.ok(ARENA.EVENTS + ARENA.MAX_EVENTS * octets <= ARENA.OUTBOX, 'and all of it fits');
  }
  t.end();
});

t.test('no part of the arena lies over another', t => {
  const parts = [
    [ARENA.ADDRESS, ARENA.ADDRESS_OCTETS],
    [ARENA.LENGTH, 4],
    [ARENA.CONTROL, 16],
    [ARENA.OPTION, 8],
    [ARENA.EVENTS, 16 * ARENA.MAX_EVENTS],
    [ARENA.OUTBOX, ARENA.OUTBOX_OCTETS],
    [ARENA.INBOX, ARENA.INBOX_OCTETS],
  ] as const;
  let end = 0;
  for (const [from, length] of parts) {
    t.ok(from >= end && from % 4 === 0, `${from} to ${from + length}`);
    end = from + length;
  }
  t.equal(end, ARENA.OCTETS);
  t.end();
});

t.test('nothing outside of the arena can be reached', t => {
  const { libc, calls, returns } = recordingLibrary('x64');
  t.throws(() => libc.receive(1, ARENA.INBOX_OCTETS + 1), RangeError);
  t.throws(() => libc.sendInbox(1, ARENA.INBOX_OCTETS, 1), RangeError);
  t.throws(() => libc.sendInbox(1, -1, 1), RangeError);
  t.throws(() => libc.bind(1, new Uint8Array(ARENA.ADDRESS_OCTETS + 1)), RangeError);
  t.strictSame(calls, [], 'and the kernel was asked for none of it');
  returns.set('recv', -1);
  t.equal(libc.receive(1, 10), -11, 'an error is a number below zero, taken at once');
  libc.send(1, libc.inbox.subarray(5, 8));
  t.strictSame(
    calls.at(-1)?.args,
    [1, 0x10000 + ARENA.INBOX + 5, 3, 0x4000],
    'a view of the inbox is not copied',
  );
  t.end();
});

t.test('socket addresses, octet for octet', t => {
  t.equal(hex(encodeAddress(parsed('192.0.2.7:2525'))), `0200${'09dd'}c0000207${'00'.repeat(8)}`);
  t.equal(
    hex(encodeAddress(parsed('[2001:db8::25]:25'))),
    `0a000019${'00000000'}20010db8000000000000000000000025${'00000000'}`,
  );
  t.equal(hex(encodeAddress(parsed('unix:/run/a'))), `0100${Buffer.from('/run/a').toString('hex')}00`);
  t.equal(
    encodeAddress(parsed(`unix:/${'x'.repeat(107)}`)),
    undefined,
    'a path longer than the kernel takes',
  );
  t.ok(encodeAddress(parsed(`unix:/${'x'.repeat(106)}`)), 'and one that just fits');
  for (const text of [
    '192.0.2.7:2525',
    '[2001:db8::25]:25',
    'unix:/run/a',
    '[::]:0',
    '255.255.255.255:65535',
  ]) {
    const octets = encodeAddress(parsed(text)) as Uint8Array;
    t.strictSame(decodeAddress(octets, 0, octets.length), parsed(text), text);
    t.equal(decodeAddress(octets, 0, 1), undefined, 'cut short it is none');
  }
  t.strictSame(
    decodeAddress(Buffer.from(`0a0000190000000000000000000000000000ffffc000020100000000`, 'hex'), 0, 28),
    { family: 'ipv4', host: '192.0.2.1', port: 25 },
    'an IPv4 client of an IPv6 socket is an IPv4 client',
  );
  const nameless = { family: 'unix', path: '' };
  t.strictSame(decodeAddress(Buffer.from('0100', 'hex'), 0, 2), nameless, 'a client on a Unix socket');
  t.strictSame(decodeAddress(Buffer.from('01000061', 'hex'), 0, 4), nameless, 'an abstract name is no path');
  t.equal(decodeAddress(Buffer.alloc(28), 0, 28), undefined, 'no family, no address');
  t.end();
});

t.test('the C library has a name on each processor and with each maker', async t => {
  t.match(libraryNames('x64'), ['libc.so.6', 'libc.musl-x86_64.so.1']);
  t.match(libraryNames('arm64'), ['libc.so.6', 'libc.musl-aarch64.so.1']);
});
