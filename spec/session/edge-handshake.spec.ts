import t from 'tap';
import { EdgeHandshake } from '../../lib/session/edge-handshake.ts';
import type { TlsSide } from '../../lib/session/tls-side.ts';
import type { Connection, ConnectionHandler } from '../../lib/transport/contract.ts';

const SILENT: ConnectionHandler = { onConnect() {}, onBytes() {}, onEnd() {}, onDrain() {}, onClose() {} };
const INFO = { version: 'TLSv1.3', cipher: 'x', serverName: null, resumed: false, peer: null };

/** A connection that notes what is done with it, and has as much room as the test says. */
class Noted implements Connection {
  handler = SILENT;
  readonly remote = { family: 'unix', path: '' } as const;
  readonly local = this.remote;
  written = '';
  paused = false;
  ended = false;
  readonly peerEnded = false;
  hasRoom = true;

  write(bytes: Uint8Array): boolean {
    this.written += Buffer.from(bytes).toString('latin1');
    return this.hasRoom;
  }
  pause(): void {
    this.paused = true;
  }
  keepAlive(): void {}
  resume(): void {
    this.paused = false;
  }
  end(): void {
    this.ended = true;
  }
  destroy(): void {}
  reset(): void {}

  says(text: string): void {
    this.handler.onBytes(Buffer.from(text, 'latin1'));
  }
}

function begin({ first = false, required = false } = {}) {
  const [client, backend] = [new Noted(), new Noted()];
  const events: string[] = [];
  const secured: TlsSide[] = [];
  const tls = {
    first,
    required,
    begin(side: TlsSide) {
      secured.push(side);
      client.handler = side;
    },
    secured: () => void events.push('secured'),
    failed: (code: string) => void events.push(code),
  };
  const owner = {
    onHandshakeDone: () => void events.push('done'),
    onHandshakeBroken: (cause: string) => void events.push(cause),
  };
  const handshake = new EdgeHandshake(client, backend, tls, owner);
  handshake.begin([Buffer.from('220 mx\r\n')], [], false);
  client.written = '';
  return { client, backend, events, handshake, secure: () => secured[0]?.onSecure(INFO) };
}

t.test('a client that was slow to read before TLS is answered after it', async t => {
  const { backend, client, secure } = begin();
  client.says('NOOP\r\nSTARTTLS\r\n');
  client.hasRoom = false;
  backend.says('250 ok\r\n');
  t.equal(client.written, '250 ok\r\n220 2.0.0 Ready to start TLS\r\n');
  t.equal(backend.paused, true);
  client.handler.onDrain();
  client.hasRoom = true;
  secure();
  t.equal(backend.paused, false, 'the backend is heard again');
});

t.test('no side is read for another that does not take more', async t => {
  const { backend, client } = begin();
  backend.hasRoom = false;
  client.says('NOOP\r\n');
  t.equal(client.paused, true);
  backend.says('250 ok\r\n');
  t.equal(client.paused, true, 'a reply is no room');
  backend.handler.onDrain();
  t.equal(client.paused, false);
  backend.hasRoom = true;
  client.says('NOOP\r\n'.repeat(100));
  t.equal(client.paused, true, 'too many replies owed');
  backend.says('250 ok\r\n'.repeat(100));
  t.equal(client.paused, false);
});

t.test('a backend that leaves, speaks unasked, or speaks nonsense', async t => {
  for (const [what, deed, events] of [
    ['leaves when nothing is owed', ({ backend }) => backend.handler.onEnd(), ['done']],
    [
      'leaves within EHLO',
      ({ client, backend }) => {
        client.says('EHLO c\r\n');
        backend.handler.onEnd();
      },
      ['backend-closed'],
    ],
    ['speaks unasked', ({ backend }) => backend.says('421 bye\r\n'), ['backend-closed']],
    [
      'answers nonsense',
      ({ client, backend }) => {
        client.says('EHLO c\r\n');
        backend.says('hello\r\n');
      },
      ['backend-protocol'],
    ],
    [
      'speaks within the handshake of the client',
      ({ client, backend }) => {
        client.says('STARTTLS\r\n');
        backend.says('421 bye\r\n');
      },
      ['backend-closed'],
    ],
  ] as readonly (readonly [string, (world: ReturnType<typeof begin>) => void, string[]])[]) {
    const world = begin();
    deed(world);
    t.strictSame(world.events, events, what);
    const heard = /421/.test(world.client.written);
    t.equal(heard, what === 'speaks unasked', 'a last word is passed on where the client can be told');
  }
});

t.test('a client that ends its direction is answered all that it asked', async t => {
  const { backend, client, events } = begin();
  client.says('EHLO c\r\nNOO');
  client.handler.onEnd();
  t.equal(backend.ended, true);
  t.strictSame(events, [], 'a reply is to be rewritten first');
  backend.says('250 mx\r\n');
  t.equal(client.written, '250-mx\r\n250 STARTTLS\r\n');
  t.strictSame(events, ['done']);
  const waiting = begin();
  waiting.client.says('NOOP\r\nSTARTTLS\r\n');
  waiting.client.handler.onEnd();
  t.strictSame(waiting.events, ['client-closed'], 'TLS will not come');
});

t.test(
  'whatever the client says in plaintext, however it is cut, a required TLS lets nothing of a mail pass',
  async t => {
    const script =
      'EHLO c\r\nMAIL FROM:<a@b.example>\r\nBDAT 19 LAST\r\nDATA\r\nRCPT TO:<x>\r\nNOOP\r\nbdat x\r\nAUTH PLAIN x\r\n' +
      'NOOP\nDATA\r\nXCLIENT NAME=x\r\nQUIT\r\n';
    const expected = 'EHLO c\r\nNOOP\r\nQUIT\r\n';
    let cuts = 0;
    for (let first = 0; first < script.length; first++) {
      const { backend, client } = begin({ required: true });
      client.says(script.slice(0, first));
      client.says(script.slice(first));
      if (backend.written !== expected) t.equal(backend.written, expected, `cut at ${first}`);
      cuts++;
    }
    const apart = begin({ required: true });
    for (const octet of script) apart.client.says(octet);
    t.equal(apart.backend.written, expected, `octet by octet, and at ${cuts} places`);
  },
);
